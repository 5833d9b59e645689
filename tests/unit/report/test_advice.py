"""Why a party did not gain, and what to try: each reason stands where the record has it, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from judged import around

from smule_crypten.report.advice import advice
from smule_crypten.report.evaluation_records import EvaluationRecord
from smule_crypten.report.records import AlarmRecord, EpochRecord, PrivacyRecord, TrustRecord
from smule_crypten.report.run_records import RunRecord, RunSummary
from smule_crypten.report.summary import build_summary

KEYS = (Path(__file__).parents[3] / "docs" / "keys.md").read_text(encoding="utf-8")
ALARM = AlarmRecord(exchange=2, test="drop", suspects=[2], evidence="few are right", p_value=1e-9, limit=1e-4)
PRIVACY = PrivacyRecord(
    epsilon=3.0,
    target_epsilon=3.0,
    delta=1e-5,
    noise_multiplier=1.0,
    max_gradient_norm=1.0,
    sample_rate=0.1,
    steps=100,
)


def _measured(accuracy: float, margin: float = 0.001) -> EvaluationRecord:
    return EvaluationRecord(num_samples=360, num_resamples=1000, metrics={"accuracy": around(accuracy, margin)})


def _summary(record: RunRecord, **of_b: Any) -> RunSummary:
    """a gains 5 points and b loses 5, both clearly; nothing else of b is known but what the arguments say."""
    clear: dict[str, Any] = {
        "trust": [TrustRecord(epoch=3, peer_accuracy=0.99, peer_weight=0.5)],
        "evaluations": {"smule": _measured(0.85), "standalone": _measured(0.9)},
        "gains": {"standalone": {"accuracy": around(-0.05, 0.01)}},
        "best_local_control": None,
    }
    summary = build_summary(record)
    of_a = {"evaluations": {"smule": _measured(0.95), "standalone": _measured(0.9)}, "gains": None, "controls": {}}
    parties = {
        "a": summary.parties["a"].model_copy(update={**of_a, "best_local_control": None}),
        "b": summary.parties["b"].model_copy(update={**clear, **of_b}),
    }
    return summary.model_copy(update={"parties": parties, "pooled_test_accuracy": 0.99})


def _level(record: RunRecord) -> list[EpochRecord]:
    """Epochs in which the loss no longer falls."""
    return [epoch.model_copy(update={"loss": 0.5}) for epoch in record.epochs]


@pytest.mark.parametrize(
    ("of_b", "reason"),
    [
        ({}, "the record names no reason"),
        ({"alarms": [ALARM]}, "its alarm found answers that an honest network of party a does not give"),
        ({"queries_made": 0, "public_made": 0}, "it asked nothing"),
        ({"answers_dropped": 40}, "40 of 100 answers could not be right"),
        (
            {"trust": [TrustRecord(epoch=3, peer_accuracy=0.058, peer_weight=0.5)]},
            "the answers of party a were right on 5.8 % of the samples whose label it knows and got the weight 0.50",
        ),
        (
            {"trust": [TrustRecord(epoch=3, peer_accuracy=None, peer_weight=0.03)]},
            "the answers of party a did not help on its validation part and got the weight 0.03 of 1",
        ),
        ({"privacy": PRIVACY}, "training.dp adds noise to each step, at epsilon 3"),
        ({"kept_network": "alone, epoch 3"}, "no network with answers was better on its validation part"),
        (
            {"gains": {"standalone": {"accuracy": around(-0.01, 0.03)}}},
            "did not clearly gain: its 360 test samples only tell that the gain is -4.0 to +2.0 points",
        ),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_the_reason_is_what_the_record_has(record: RunRecord, of_b: dict[str, Any], reason: str) -> None:
    """One sentence, about the party that did not gain alone; every key that it names is one of the configuration."""
    (sentence,) = advice(_summary(record, **of_b), _level(record))
    assert sentence.startswith("Party b did not ")
    assert reason in sentence
    assert "Try " in sentence
    keys = re.findall(r"\b[a-z]+\.[a-z_]+", sentence)
    assert [key for key in keys if f"`{key}`" not in KEYS and f"`{key}." not in KEYS] == []


def test_who_still_learned_is_told(record: RunRecord) -> None:
    """The sample's loss falls from 1/2 to 1/3 in its last epoch, by a third."""
    (sentence,) = advice(_summary(record), record.epochs)
    assert "its loss still fell by 33 % in the last epoch" in sentence
    assert sentence.endswith("Try more training.epochs.")


def test_where_all_data_bring_nothing_the_peer_cannot(record: RunRecord) -> None:
    """The pooled network stands within the interval of the one trained alone; 90.1 % do, 90.2 % do not."""
    for pooled, is_told in ((0.901, True), (0.902, False)):
        summary = _summary(record).model_copy(update={"pooled_evaluation": _measured(pooled)})
        (sentence,) = advice(summary, _level(record))
        assert ("even one network trained on the data of both comes to 90.1 % only" in sentence) is is_told


def test_what_others_cannot_explain_comes_last(record: RunRecord) -> None:
    """Answers that an honest peer does not give explain more than a training that was too short."""
    (sentence,) = advice(_summary(record, alarms=[ALARM], kept_network="alone, epoch 3"), record.epochs)
    assert "alarm" in sentence


def test_a_gain_that_needs_no_peer_is_told(record: RunRecord) -> None:
    """b gains over training alone, yet a control without the other party is better."""
    evaluations = {"smule": _measured(0.95), "standalone": _measured(0.9), "self_mutual": _measured(0.96)}
    best = build_summary(record).parties["a"].best_local_control
    assert best is not None
    assert best.name == "self_mutual"
    of_b = {"evaluations": evaluations, "gains": None, "best_local_control": best}
    (sentence,) = advice(_summary(record, **of_b), _level(record))
    assert sentence.startswith("Party b gained over training alone, but self mutual comes to 96.0 % without")


def test_nothing_is_said_before_figures_are_known(partial_record: RunRecord) -> None:
    """A run that failed or goes on has no gain to explain."""
    assert advice(build_summary(partial_record), partial_record.epochs) == []
