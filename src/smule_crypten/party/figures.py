"""What a party's networks come to on its test samples, as records."""

from __future__ import annotations

from dataclasses import asdict

from smule_crypten.report.evaluation_records import (
    ClassRecord,
    EvaluationRecord,
    MetricRecord,
    ReliabilityRecord,
    RocRecord,
)
from smule_crypten.tasks.evaluation import ClassFigures, Evaluated, Measured, gain


def evaluation_record(found: Evaluated) -> EvaluationRecord:
    """All figures of a network."""
    reliability = found.reliability
    return EvaluationRecord(
        num_samples=found.num_samples,
        num_resamples=found.num_resamples,
        metrics={name: _metric(figure) for name, figure in found.metrics.items()},
        thresholds=found.thresholds,
        by_class=[_of_class(of_class) for of_class in found.by_class] or None,
        roc=[RocRecord(**asdict(curve)) for curve in found.roc] or None,
        reliability=None if reliability is None else ReliabilityRecord(**asdict(reliability)),
        confusion=found.confusion,
    )


def gain_records(after: Evaluated, before: Evaluated) -> dict[str, MetricRecord]:
    """By every metric, how much better one network is than another on the same samples."""
    return {name: _metric(gain(name, after, before)) for name in after.metrics}


def _metric(figure: Measured) -> MetricRecord:
    return MetricRecord(**asdict(figure))


def _of_class(of_class: ClassFigures) -> ClassRecord:
    names = ("recall", "precision", "f1", "auroc", "auprc")
    figures = {name: _metric(getattr(of_class, name)) for name in names}
    return ClassRecord(label=of_class.label, support=of_class.support, **figures)
