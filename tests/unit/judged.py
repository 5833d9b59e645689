"""A run whose networks were measured by all metrics, with round numbers."""

from __future__ import annotations

from smule_crypten.metric_names import metrics_of
from smule_crypten.report.evaluation_records import (
    ClassRecord,
    EvaluationRecord,
    MetricRecord,
    ReliabilityRecord,
    RocRecord,
)
from smule_crypten.report.run_records import RunRecord


def around(value: float, margin: float = 0.03) -> MetricRecord:
    return MetricRecord(value=value, low=value - margin, high=value + margin)


def evaluation(accuracy: float, *, in_short: bool = False) -> EvaluationRecord:
    """Of three classes. Every metric but the accuracy is a fixed one."""
    metrics = {name: around(0.5 + 0.01 * place) for place, name in enumerate(metrics_of("classification"))}
    full = EvaluationRecord(
        num_samples=360,
        num_resamples=1000,
        metrics=metrics | {"accuracy": around(accuracy)},
        by_class=[_of_class(label) for label in range(3)],
        roc=[
            RocRecord(label=label, false_positive_rate=[0.0, 0.2, 1.0], true_positive_rate=[0.0, 0.7, 1.0])
            for label in range(3)
        ],
        reliability=ReliabilityRecord(said=[0.4, 0.9], true=[0.3, 0.85], decisions=[60, 300]),
        confusion=[[117, 2, 1], [3, 114, 3], [0, 4, 116]],
    )
    return full.in_short if in_short else full


def judged(record: RunRecord) -> RunRecord:
    """The sample record (conftest.py) with evaluations; the gain of a is clear, that of b is not."""
    for name, gain in (("a", around(0.01, 0.005)), ("b", around(-0.005, 0.02))):
        party = record.parties[name]
        networks = {"smule": party.test_accuracy, "standalone": party.standalone_test_accuracy}
        facts = {
            "evaluations": {network: evaluation(value) for network, value in networks.items() if value is not None},
            "gains": {"standalone": {"accuracy": gain, "log_loss": around(0.1)}},
        }
        record.parties[name] = party.model_copy(update=facts)
        controls = record.controls[name].items()
        record.evaluations[name] = {
            key: evaluation(value, in_short=True) for key, value in controls if value is not None
        }
        record.gains[name] = {key: {"accuracy": gain, "log_loss": around(0.1)} for key, _ in controls}
    record.pooled_evaluation = evaluation(0.96, in_short=True)
    return record


def _of_class(label: int) -> ClassRecord:
    return ClassRecord(
        label=label,
        name="<adder>" if label == 2 else f"{label}",
        support=120,
        recall=around(0.95),
        precision=around(0.9),
        f1=around(0.92),
        auroc=around(0.96),
        auprc=MetricRecord(value=0.91),
    )


def of_regression(record: RunRecord) -> RunRecord:
    """The same run with values in place of classes, and no gain at either party."""
    record.facts = record.facts.model_copy(update={"task": "regression", "metric": "rmse"})
    found = EvaluationRecord(num_samples=360, num_resamples=1000, metrics={"rmse": around(54.3, 4)})
    for name in ("a", "b"):
        facts = {"evaluations": {"smule": found, "standalone": found}, "gains": {"standalone": {"rmse": around(0, 1)}}}
        facts |= {"test_accuracy": None, "standalone_test_accuracy": None, "class_counts": [], "missing_classes": []}
        record.parties[name] = record.parties[name].model_copy(update=facts)
    record.asked_controls, record.controls, record.pooled_test_accuracy = (), {}, None
    accuracies = {"test_accuracy": None, "train_accuracy": None, "test_metric": 60.0}
    record.epochs = [epoch.model_copy(update=accuracies) for epoch in record.epochs]
    return record
