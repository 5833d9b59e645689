"""The sentence on classes that a party has no sample of."""

from __future__ import annotations

import pytest
from judged import judged

from smule_crypten.report.evaluation_records import ClassRecord, EvaluationRecord, MetricRecord
from smule_crypten.report.run_records import RunRecord, RunSummary
from smule_crypten.report.story import story
from smule_crypten.report.summary import build_summary


def finds(evaluation: EvaluationRecord, recalls: dict[int, float], supports: dict[int, int]) -> EvaluationRecord:
    """The same evaluation with other recalls and test samples of each class."""

    def changed(one: ClassRecord) -> ClassRecord:
        recall = MetricRecord(value=recalls.get(one.label, one.recall.value))
        return one.model_copy(update={"recall": recall, "support": supports.get(one.label, one.support)})

    return evaluation.model_copy(update={"by_class": [changed(one) for one in evaluation.by_class or []]})


def summary_of(record: RunRecord, missing: list[int]) -> RunSummary:
    """Party b lacks these classes; alone it finds none of them, with SMuLe every second of class 1, all of class 2."""
    summary = build_summary(judged(record))
    party, supports = summary.parties["b"], {1: 100, 2: 300}
    evaluations = dict(party.evaluations or {})
    evaluations["standalone"] = finds(evaluations["standalone"], {1: 0.0, 2: 0.0}, supports)
    evaluations["smule"] = finds(evaluations["smule"], {1: 0.5, 2: 1.0}, supports)
    summary.parties["a"] = summary.parties["a"].model_copy(update={"missing_classes": []})
    summary.parties["b"] = party.model_copy(update={"missing_classes": missing, "evaluations": evaluations})
    return summary


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ([1, 2], ("1 or 2", "87.5 %")),
        ([1], ("1", "50.0 %")),
    ],
)
def test_missing_classes_are_counted_by_sample(record: RunRecord, missing: list[int], told: tuple[str, str]) -> None:
    """(100 x 0.5 + 300 x 1) / 400 by hand, and nothing of the party that has all classes."""
    classes, share = told
    assert story(summary_of(record, missing)) == [
        f"Party b has no sample of class {classes}. Alone it recognizes 0.0 % of them, with party a's answers {share}."
    ]


def test_nothing_is_said_without_evidence(record: RunRecord) -> None:
    """A party that has all classes, and a run whose classes were not judged, as in older files."""
    summary = summary_of(record, [])
    assert story(summary) == []
    missing = summary.parties["b"].model_copy(update={"missing_classes": [1], "evaluations": None})
    assert story(summary.model_copy(update={"parties": {**summary.parties, "b": missing}})) == []
