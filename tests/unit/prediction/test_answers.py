from __future__ import annotations

from typing import Any

from rich.console import Console, RenderableType

from smule_crypten.prediction.answer_records import (
    AskedRecord,
    CombinationRecord,
    EstimateRecord,
    JudgedRecord,
    PlanRecord,
    PredictionRecord,
    WorthRecord,
)
from smule_crypten.prediction.answers import estimate_table, prediction_table
from smule_crypten.report.records import BudgetRecord

BUDGET = {"charged": 366, "charged_before": 0, "repeats_used": 0, "repeats_allowed": 0, "mu": 0.1, "logit_noise": 0.02}
ASKED: dict[str, Any] = {
    "party": "a",
    "scheme": "lean",
    "own_model_step": 70,
    "peer_model_step": 80,
    "queries_made": 71,
    "queries_answered": 5,
    "answers_dropped": 0,
    "budget": BudgetRecord(answered=5, limit=1_600, left=1_234, **BUDGET),
    "bytes_sent": 9_030,
    "bytes_received": 24_160,
    "dealer_bytes": 1_600,
    "rounds": 26,
    "class_names": ["[cat]", "dog"],
}
COMBINATION = CombinationRecord(own_weight=0.6, own_temperature=1.0, peer_temperature=2.0, num_known=60)
PREDICTION = PredictionRecord(
    **ASKED,
    num_images=11,
    combination=COMBINATION,
    validation=JudgedRecord(num_known=60, own=0.8, peer=0.7, combined=0.85),
    notes=[],
    versions={},
)
WORTH = WorthRecord(
    num_known=60,
    own=0.8,
    peer=0.7,
    combined=0.85,
    agreement=0.75,
    gain=0.05,
    interval=(-0.01, 0.11),
    by_class=[(60, 0.8, 0.7), None],
)
ESTIMATE = EstimateRecord(
    **ASKED,
    worth=WORTH,
    run=PlanRecord(
        num_exchanges=3, num_queries=(40, 20), exchange_bytes=1_000_000, run_bytes=2_900_000, head_bytes=50_000
    ),
)


def printed(table: RenderableType) -> str:
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


def test_a_prediction() -> None:
    """Accuracies, weights and bytes; without a fit it says why weights are equal."""
    text = printed(prediction_table(PREDICTION))
    for part in (
        "60 held-out samples",
        "80.0 % 70.0 % 85.0 % +5.0",
        "own weight 0.60",
        "71 made, 5 answered",
        "9.03 kB",
        "answers left 1,234 of 1,600 of your own network",
    ):
        assert part in text
    assert "dropped" not in text
    dropped = printed(prediction_table(PREDICTION.model_copy(update={"answers_dropped": 3})))
    assert "dropped 3 answers beyond the other party's stated bound" in dropped
    unfitted = COMBINATION.model_copy(update={"own_weight": 0.5, "num_known": 0})
    alone = PREDICTION.model_copy(update={"validation": None, "combination": unfitted})
    text = printed(prediction_table(alone))
    assert "equal weights: too few held-out samples" in text


def test_who_only_answers() -> None:
    """There is nothing to combine."""
    assert "combined" not in printed(
        prediction_table(AskedRecord(**{key: ASKED[key] for key in ASKED if key != "class_names"}))
    )


def test_an_estimate() -> None:
    """By class and in all, the gain with its interval, and what a run costs; names are taken as they are."""
    text = printed(estimate_table(ESTIMATE))
    for part in (
        "[cat] 60 80.0 % 70.0 % -10.0",
        "gain +5.0 points",
        "-1.0 to +11.0",
        "classes without a held-out sample: dog",
        "at most 2.90 MB",
        "40 queries of party a and 20 of party b in each of 3 exchanges, 50.00 kB for the joint head",
    ):
        assert part in text
    assert "dog 0" not in text


def test_an_estimate_without_a_known_cost() -> None:
    """A budget that does not suffice, or no limit at all, is said."""
    unpaid = {"run": PlanRecord(problem="does not pay for one query")}
    text = printed(estimate_table(ESTIMATE.model_copy(update=unpaid)))
    assert "does not pay" in text
    unlimited = ESTIMATE.model_copy(update={"run": PlanRecord(num_exchanges=3)})
    assert "not known in advance" in printed(estimate_table(unlimited))


def test_an_estimate_of_labels_and_of_values() -> None:
    """Shares are percent and errors numbers; a smaller error is a gain, and values are never said to agree."""
    labels = WORTH.model_copy(update={"measure": "share of labels right", "by_class": [(60, 0.8, 0.7), (60, 0.9, 0.9)]})
    text = printed(estimate_table(ESTIMATE.model_copy(update={"worth": labels})))
    assert "Share of labels right on 60 held-out samples" in text
    assert "dog 60 90.0 % 90.0 % +0.0" in text
    errors = {"measure": "mean absolute error", "own": 12.5, "peer": 15.0, "combined": 10.0, "agreement": None}
    values = WORTH.model_copy(
        update={**errors, "gain": 2.5, "interval": (1.0, 4.0), "by_class": [(60, 12.5, 15.0)] * 2}
    )
    text = printed(estimate_table(ESTIMATE.model_copy(update={"worth": values})))
    assert "Mean absolute error on 60 held-out samples" in text
    assert "target samples own peer difference" in text
    assert "all 60 12.5 15 -2.5" in text
    assert "both together 10, gain +2.5 (95 %: +1 to +4)" in text
    assert "agreement" not in text
