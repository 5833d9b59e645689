"""All figures of a network on test samples: every metric of its task with an interval, those of each class, pictures.

An interval is that of the bootstrap by percentiles, 95 %, over the test samples: it says what other test samples of the
same kind would change, and nothing of what another seed of the training would.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from sklearn import metrics as sk

from smule_crypten.metric_names import METRIC_FACTS, metrics_of
from smule_crypten.tasks.curves import Reliability, Roc, confusion_matrix, reliability, roc_curves
from smule_crypten.tasks.metrics import METRICS, Array, Prediction, ranking
from smule_crypten.tasks.resampling import Resampled, num_resamples, resampled

LEVEL = 0.95
_LEAST_DEFINED = 0.9
"""Share of the resamples in which a metric must be defined to have an interval: that of a class of three samples or
more."""
_DIGITS = 6
"""Of an interval, which is far less exact, so that the last bits of a sum do not show."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure with the ends of its interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """Of one class or label against the others. support: samples that have it."""

    label: int
    support: int
    recall: Measured
    precision: Measured
    f1: Measured
    auroc: Measured
    auprc: Measured


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """thresholds: from which probability class 1 or each label is found, where the task has any."""

    num_samples: int
    num_resamples: int
    metrics: dict[str, Measured]
    thresholds: list[float] | None
    by_class: list[ClassFigures]
    roc: list[Roc]
    reliability: Reliability | None
    confusion: list[list[int]] | None
    resamples: Resampled = field(repr=False)


def evaluated(prediction: Prediction) -> Evaluated:
    """All figures of a network by what it says of test samples, of which there is at least one."""
    names = metrics_of(prediction.task)
    if not np.isfinite(prediction.outputs_NC).all():
        return _undefined(prediction, names)
    resamples = resampled(prediction, names)
    outputs_NC, targets, thresholds_C = prediction.outputs_NC, prediction.targets, prediction.thresholds_C
    values = {name: METRICS[name](outputs_NC, targets, thresholds_C) for name in names}
    has_classes = not prediction.is_regression
    return Evaluated(
        num_samples=len(outputs_NC),
        num_resamples=len(resamples.metrics[names[0]]),
        metrics={name: _measured(value, resamples.metrics[name]) for name, value in values.items()},
        thresholds=None if thresholds_C is None else [float(threshold) for threshold in thresholds_C],
        by_class=_by_class(prediction, resamples) if has_classes else [],
        roc=roc_curves(prediction) if has_classes else [],
        reliability=reliability(prediction) if has_classes else None,
        confusion=confusion_matrix(prediction),
        resamples=resamples,
    )


def _undefined(prediction: Prediction, names: list[str]) -> Evaluated:
    """Of a network some of whose outputs are not finite."""
    count = num_resamples(*prediction.outputs_NC.shape)
    return Evaluated(
        num_samples=len(prediction.outputs_NC),
        num_resamples=count,
        metrics=dict.fromkeys(names, Measured(value=None, low=None, high=None)),
        thresholds=None,
        by_class=[],
        roc=[],
        reliability=None,
        confusion=None,
        resamples=Resampled(metrics={name: np.full(count, np.nan) for name in names}, by_class={}),
    )


def gain(name: str, after: Evaluated, before: Evaluated) -> Measured:
    """How much better one network is than another on the same samples by a metric: more than 0 where it is better.

    Both are measured on the same resamples, so that what a sample makes easy or hard for both does not count.
    """
    sign = 1 if METRIC_FACTS[name].higher_is_better else -1
    values = after.metrics[name].value, before.metrics[name].value
    difference = None if values[0] is None or values[1] is None else sign * (values[0] - values[1])
    return _measured(difference, sign * (after.resamples.metrics[name] - before.resamples.metrics[name]))


def _measured(value: float | None, resamples_B: Array) -> Measured:
    defined = resamples_B[~np.isnan(resamples_B)]
    if value is None or len(defined) < _LEAST_DEFINED * len(resamples_B):
        return Measured(value=value, low=None, high=None)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).round(_DIGITS).tolist()
    # A biased metric may be larger in all resamples: samples that are held twice help a precision of few samples.
    return Measured(value=value, low=min(low, value), high=max(high, value))


def _by_class(prediction: Prediction, resamples: Resampled) -> list[ClassFigures]:
    """Recall, precision and F1 are those of what the network decides: the most probable class, or the labels found."""
    truth_NC, outputs_NC = prediction.truth_NC, prediction.outputs_NC
    rates = sk.precision_recall_fscore_support(truth_NC, prediction.decided_NC, average=None, zero_division=np.nan)
    precision_C, recall_C, f1_C, support_C = (of_all.tolist() for of_all in rates)
    figures = []
    for label in range(prediction.num_outputs):
        values = {
            "recall": _known(recall_C[label]),
            "precision": _known(precision_C[label]),
            "f1": _known(f1_C[label]),
            "auroc": ranking(sk.roc_auc_score, truth_NC[:, label], outputs_NC[:, label]),
            "auprc": ranking(sk.average_precision_score, truth_NC[:, label], outputs_NC[:, label]),
        }
        measured = {name: _measured(value, resamples.by_class[name][:, label]) for name, value in values.items()}
        figures.append(ClassFigures(label=label, support=support_C[label], **measured))
    return figures


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
