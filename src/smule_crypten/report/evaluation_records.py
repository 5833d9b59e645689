"""What is recorded of a network on test samples: figures with intervals, those of each class, points of pictures."""

from __future__ import annotations

from pydantic import Field

from smule_crypten.report.record import Finite, Record, maybe


class MetricRecord(Record):
    value: Finite = maybe("null where it is not defined: an AUROC of one class")
    low: Finite = maybe(
        "lower end of its 95 % interval, by a bootstrap over test samples; null where too few of them have the class"
    )
    high: Finite = maybe("upper end")

    @property
    def is_clear(self) -> bool:
        """Of a difference: whether 0 is outside its interval."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


class ClassRecord(Record):
    """Of one class or label against the others."""

    label: int = Field(description="number of the class or label")
    support: int = Field(description="test samples that have it")
    recall: MetricRecord = Field(description="share of them that the network finds")
    precision: MetricRecord = Field(description="share of what it finds that has it")
    f1: MetricRecord = Field(description="of both")
    auroc: MetricRecord = Field(description="of its probability, against all others")
    auprc: MetricRecord = Field(description="average precision of its probability")


class RocRecord(Record):
    """At most 100 points, from (0, 0) to (1, 1)."""

    label: int = Field(description="number of the class or label; of two classes, 1")
    false_positive_rate: list[float] = Field(description="at most 100 points, from 0 to 1")
    true_positive_rate: list[float] = Field(description="at the same points")


class ReliabilityRecord(Record):
    """Of the bins of equal width, out of 15, that hold anything."""

    said: list[float] = Field(description="mean probability in each bin that holds anything, of 15 of equal width")
    true: list[float] = Field(description="share that was true")
    decisions: list[int] = Field(description="how many fell into it")


class EvaluationRecord(Record):
    """A network on the test samples. Keys after `metrics` are those of the networks with SMuLe and alone only."""

    num_samples: int = Field(description="test samples")
    num_resamples: int = Field(description="resamples behind each interval")
    metrics: dict[str, MetricRecord] = Field(description="every metric of the task; below, how each is defined")
    thresholds: list[float] | None = maybe(
        "probability from which class 1, or each label, is found; picked on the validation part, 0.5 without one"
    )
    by_class: list[ClassRecord] | None = maybe("null in regression, of controls and of pooled data; so are all below")
    roc: list[RocRecord] | None = maybe("the 20 classes with the most samples; of two classes that of class 1")
    reliability: ReliabilityRecord | None = maybe(
        "of class 1 of two, of the most probable one of more, of all labels together"
    )
    confusion: list[list[int]] | None = maybe(
        "test samples of the class of each row that were taken for the class of each column; null beyond 100 classes"
    )

    @property
    def in_short(self) -> EvaluationRecord:
        """The metrics alone."""
        return EvaluationRecord(num_samples=self.num_samples, num_resamples=self.num_resamples, metrics=self.metrics)
