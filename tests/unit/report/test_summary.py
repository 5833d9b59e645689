from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from smule_crypten.errors import OutputError
from smule_crypten.report.phrases import joint_head, planned_exchange
from smule_crypten.report.records import HeadRecord
from smule_crypten.report.run_records import AttackRecord, ControlRecord, FidelityRecord, RunRecord, RunSeconds
from smule_crypten.report.summary import build_summary, read_summary, write_summary


def test_communication_of_a_hand_computed_run(record: RunRecord) -> None:
    """Both directions are counted once: a sends 2 MB and b 3 MB in each of two exchanges, plus 16 bytes of warm-up.

    Each party sends 1,000 bytes of handshake and keys, so the total is 10,000,016 + 2,000.
    """
    assert build_summary(record).communication.model_dump() == {
        "bytes_per_epoch": [16, 5_000_000, 5_000_000],
        "bytes_total": 10_002_016,
        "dealer_bytes_total": 1_600,
        "rounds_total": 185,
        "queries_per_epoch": [0, 150, 150],
        "bytes_per_query": pytest.approx(10_000_016 / 300),
        "bytes_by_phase": {"handshake": 1_500, "keys": 500, "control": 16, "online": 10_000_000},
        "bytes_by_layer": {"conv1": 6_000_000, "relu1": 3_000_000, "logits": 1_000_000},
    }


def test_fidelity_is_the_worst_error_and_the_agreement_over_all_samples(record: RunRecord) -> None:
    """147 of 150 answers agree: the mean is weighted by samples, not by checks."""
    assert build_summary(record).model_dump()["fidelity"] == {
        "max_abs_logit_error": 3e-4,
        "top1_agreement": pytest.approx(0.98),
        "num_samples": 150,
    }


def test_a_logit_that_is_not_finite_is_never_hidden_by_a_finite_one(record: RunRecord) -> None:
    """max() must not lose a NaN; the summary says null, which is not a small error."""
    record.fidelity[0] = FidelityRecord(**vars(record.fidelity[0]) | {"max_abs_logit_error": math.nan})
    fidelity = build_summary(record).fidelity
    assert fidelity is not None
    assert fidelity.max_abs_logit_error is None
    assert fidelity.num_samples == 150


def test_parties_and_run_facts(record: RunRecord) -> None:
    """What a reader compares between runs comes from the right place in the record."""
    summary = build_summary(record)
    assert summary.parties["b"].model_dump() == {
        "architecture": "lenet",
        "num_parameters": 24_000,
        "num_train": 600,
        "num_test": 360,
        "missing_classes": [],
        "test_accuracy": 0.95,
        "standalone_test_accuracy": 0.955,
        "evaluations": None,
        "gains": None,
        "controls": {"label_smoothing": 0.94, "self_mutual": 0.93},
        "best_local_control": {"name": "standalone", "test_accuracy": 0.955},
        "planned_exchange_bytes": 7_000_000,
        "planned_set_up_bytes": 3_500_000,
        "joint_head": None,
        "kept_network": "smule, epoch 3",
        "kept_because": "last",
        "privacy": None,
        "trust": [{"epoch": 2, "peer_accuracy": 0.8, "peer_weight": 0.5}],
        "alarms": [],
        "queries_made": 100,
        "queries_answered": 200,
        "public_made": 0,
        "public_answered": 0,
        "answers_dropped": 0,
        "dealer_bytes": 800,
        "budget": {
            "answered": 200,
            "limit": 300,
            "charged": 250,
            "public": 0,
            "charged_before": 0,
            "left": 50,
            "repeats_used": 1,
            "repeats_allowed": 2,
            "mu": 0.1,
            "logit_noise": 0.02,
        },
    }
    assert (summary.scheme, summary.provider, summary.randomness) == (
        "crypten",
        "trusted_first_party",
        "fresh",
    )
    assert (summary.seed, summary.epochs, summary.pooled_test_accuracy) == (7, 3, 0.96)
    assert summary.insecure_choices == ["provider=trusted_first_party"]


def test_the_best_control_is_known_when_all_are(record: RunRecord) -> None:
    """A gain is never shown over the best of some: an interrupted run keeps what was finished, and no more."""
    best = ControlRecord(name="self_mutual", test_accuracy=0.91)
    assert build_summary(record).parties["a"].best_local_control == best
    del record.controls["a"]["label_smoothing"]
    party = build_summary(record).parties["a"]
    assert party.controls == {"self_mutual": 0.91}
    assert party.best_local_control is None


def test_without_controls_alone_is_the_best(record: RunRecord) -> None:
    """A run that asked for none is compared with the network trained alone, if there is one."""
    record.asked_controls, record.controls = (), {}
    record.parties["b"] = record.parties["b"].model_copy(update={"standalone_test_accuracy": None})
    parties = build_summary(record).parties
    assert parties["a"].best_local_control == ControlRecord(name="standalone", test_accuracy=0.9)
    assert parties["b"].best_local_control is None


def test_a_partial_record_says_null_and_never_zero(partial_record: RunRecord) -> None:
    """A failed run still has a valid summary; unknown totals are null; a half-reported epoch is not counted."""
    summary = build_summary(partial_record)
    assert summary.status == "failed"
    assert summary.error == "party b: out of memory"
    assert summary.parties["a"].test_accuracy is None
    assert summary.parties["b"].architecture is None
    assert summary.communication.bytes_per_epoch == [16]
    assert summary.communication.bytes_total is None
    assert summary.communication.bytes_per_query is None
    assert summary.fidelity is None
    assert summary.seconds == RunSeconds()


def test_totals_need_both_parties(record: RunRecord) -> None:
    """The bytes of one party alone are not presented as those of the link."""
    del record.parties["b"]
    communication = build_summary(record).communication
    assert communication.bytes_total is None
    assert communication.dealer_bytes_total is None
    assert communication.rounds_total is None


def test_the_file_holds_the_summary(tmp_path: Path, record: RunRecord) -> None:
    """summary.json is the summary, as JSON, and is read back as it was."""
    path = write_summary(tmp_path, record)
    assert path == tmp_path / "summary.json"
    assert json.loads(path.read_text()) == build_summary(record).model_dump(mode="json")
    assert read_summary(tmp_path) == build_summary(record)


def test_an_unwritable_folder_is_an_output_error(tmp_path: Path, record: RunRecord) -> None:
    """Users get one line and the documented exit code."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_summary(tmp_path / "file", record)


def test_an_attack_stands_in_the_summary(record: RunRecord) -> None:
    """Who attacked and how it went; null without an adversary, and what is no number is null."""
    assert build_summary(record).attack is None
    record.attack = AttackRecord(name="backdoor", party="b", success={"alone": 0.01, "smule": math.nan})
    attack = json.loads(build_summary(record).model_dump_json())["attack"]
    assert attack == {"name": "backdoor", "party": "b", "success": {"alone": 0.01, "smule": None}}


def test_what_an_exchange_was_said_to_cost(record: RunRecord) -> None:
    """What comes once a run is said apart, where there is such."""
    parties = build_summary(record).parties
    assert planned_exchange(parties) == "at most 7.00 MB per exchange, set-up 3.50 MB once"
    without = {name: party.model_copy(update={"planned_set_up_bytes": 0}) for name, party in parties.items()}
    assert planned_exchange(without) == "at most 7.00 MB per exchange"


def test_a_joint_head_is_compared_in_one_line(record: RunRecord) -> None:
    """By whom it was compared, and who leaves it out."""
    head = HeadRecord(
        features=65,
        rows={"a": 58, "b": 60},
        attempts=1,
        solve_bytes=2_000_000,
        opening_bytes=500_000,
        rounds=30,
        answers_got=16,
        answers_given=16,
        answers_before=0,
        answers_limit=16,
        noise=0.043,
        is_revealed=False,
    )
    parties = build_summary(record).parties
    assert joint_head(parties) == ""
    parties["a"] = parties["a"].model_copy(update={"joint_head": head})
    assert "deviations" not in joint_head(parties)
    worse = head.model_copy(update={"advantage": -4.23, "is_left_out": True})
    parties["b"] = parties["b"].model_copy(update={"joint_head": worse})
    assert "solved for 2.00 MB; -4.2 deviations against the head of party b, left out; nobody" in joint_head(parties)
