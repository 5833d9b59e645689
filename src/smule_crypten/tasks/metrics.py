"""Every metric by name, computed by scikit-learn.

All take outputs (N, C) and targets as NumPy has them. Classification: probabilities that sum to 1, and classes (N,)
from 0 to C - 1. Several labels: a probability for each, and 0 or 1 (N, C). Regression: values, and true values (N, C),
in the units of the data. No target is unknown. A network with an output that is not finite has no metric.

A class, or a label, that occurs in none of the samples or in all of them has no AUROC and no AUPRC; the macro mean is
that of the others. A metric that is not defined is None, never a number that looks like one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from smule_crypten.metric_names import METRIC_FACTS, MetricFacts, TaskName

Array = NDArray[np.float64]
Targets = NDArray[np.float64] | NDArray[np.int64]
Value = Callable[["Prediction"], float | None]

CALIBRATION_BINS = 15
"""Of equal width."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a network says of samples of a task, and what is true.

    thresholds_C: from which probability a class or a label is found: of several labels one each, of two classes that
    of class 1 at the second place; None for 0.5, and always the most probable one of several classes.
    """

    task: TaskName
    outputs_NC: Array
    targets: Targets
    thresholds_C: Array | None = None

    @property
    def num_outputs(self) -> int:
        return int(self.outputs_NC.shape[1])

    @property
    def is_regression(self) -> bool:
        return self.task == "regression"

    @property
    def is_binary(self) -> bool:
        """Of two classes; class 1 is what one looks for."""
        return self.task == "classification" and self.num_outputs == 2

    @property
    def truth_NC(self) -> NDArray[np.bool_]:
        """Which class, or which labels, each sample has. Not of regression."""
        if self.task == "multilabel":
            return np.asarray(self.targets == 1)
        return np.asarray(self.targets[:, None] == np.arange(self.num_outputs))

    @property
    def decided_NC(self) -> NDArray[np.bool_]:
        """What the network decides: the most probable class, or the labels from their thresholds on."""
        if self.task == "multilabel":
            return np.asarray(self.outputs_NC >= (0.5 if self.thresholds_C is None else self.thresholds_C))
        return np.asarray(self.outputs_NC.argmax(axis=1)[:, None] == np.arange(self.num_outputs))

    @property
    def flagged_NC(self) -> NDArray[np.bool_]:
        """The same, but of two classes class 1 from its threshold on."""
        if not self.is_binary or self.thresholds_C is None:
            return self.decided_NC
        positive_N = self.outputs_NC[:, 1] >= self.thresholds_C[1]
        return np.stack([~positive_N, positive_N], axis=1)

    @property
    def ranked(self) -> range:
        """The classes or labels that rankings are about: of two classes, class 1 alone."""
        return range(1, 2) if self.is_binary else range(self.num_outputs)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a metric is computed, and how its figures are read (metric_names.py)."""

    value: Value
    facts: MetricFacts

    def __call__(self, outputs_NC: Array, targets: Targets, thresholds_C: Array | None = None) -> float | None:
        """Of any samples; None where it is not defined."""
        if len(outputs_NC) == 0 or not np.isfinite(outputs_NC).all():
            return None
        task = "classification" if targets.ndim == 1 else self.facts.tasks[-1]
        return self.value(Prediction(task=task, outputs_NC=outputs_NC, targets=targets, thresholds_C=thresholds_C))


def ranking(score: Callable[..., float], is_there_N: NDArray[np.bool_], probability_N: Array) -> float | None:
    """AUROC or average precision of one class or label; None where all samples have it, or none has."""
    if is_there_N.all() or not is_there_N.any():
        return None
    return float(score(is_there_N, probability_N))


def confidence(prediction: Prediction) -> tuple[NDArray[np.bool_], Array]:
    """Whether what was said is true, and how probable it was said to be: what a calibration compares.

    Of two classes it is about class 1, of more about the most probable one, of several labels about each of them, one
    after the other.
    """
    outputs_NC = prediction.outputs_NC
    if prediction.task == "multilabel":
        return prediction.truth_NC.reshape(-1), outputs_NC.reshape(-1)
    if prediction.is_binary:
        return prediction.truth_NC[:, 1], outputs_NC[:, 1]
    hit_N = outputs_NC.argmax(axis=1) == prediction.targets
    return hit_N, np.asarray(outputs_NC.max(axis=1))


def calibration_bin(probability_N: Array) -> NDArray[np.int64]:
    """In which of the bins each lies, as calibration_curve of scikit-learn has it."""
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)
    return np.asarray(np.searchsorted(edges[1:-1], probability_N), dtype=np.int64)


def _accuracy(of: Prediction) -> float:
    return float(sk.accuracy_score(of.targets, of.outputs_NC.argmax(axis=1)))


def _balanced_accuracy(of: Prediction) -> float:
    """Mean recall of the classes that occur."""
    occurring = np.unique(of.targets)
    said_N = of.outputs_NC.argmax(axis=1)
    return float(sk.recall_score(of.targets, said_N, labels=occurring, average="macro", zero_division=0.0))


def _macro_f1(of: Prediction) -> float | None:
    """Mean F1 of the classes or labels that occur in the targets or in what was said."""
    truth_NC, decided_NC = of.truth_NC, of.decided_NC
    there = [label for label in range(of.num_outputs) if (truth_NC[:, label] | decided_NC[:, label]).any()]
    return _mean(float(sk.f1_score(truth_NC[:, label], decided_NC[:, label])) for label in there)


def _auroc(of: Prediction) -> float | None:
    return _macro(sk.roc_auc_score, of)


def _auprc(of: Prediction) -> float | None:
    return _macro(sk.average_precision_score, of)


def _macro(score: Callable[..., float], of: Prediction) -> float | None:
    truth_NC = of.truth_NC
    return _mean(ranking(score, truth_NC[:, label], of.outputs_NC[:, label]) for label in of.ranked)


def _mean(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _recall(of: Prediction, sign: bool) -> float | None:
    """Of what is there (sign True), or of what is not there: of class 1, or the mean over the classes."""
    truth_NC, flagged_NC = of.truth_NC == sign, of.flagged_NC == sign
    there = [label for label in of.ranked if truth_NC[:, label].any()]
    return _mean(float(sk.recall_score(truth_NC[:, label], flagged_NC[:, label])) for label in there)


def _subset_accuracy(of: Prediction) -> float:
    return float(sk.accuracy_score(of.truth_NC, of.decided_NC))


def _hamming_loss(of: Prediction) -> float:
    return float(sk.hamming_loss(of.truth_NC, of.decided_NC))


def _log_loss(of: Prediction) -> float:
    """In nats; of several labels the mean over them. A probability of 0 counts as 2.2e-16."""
    if of.task == "multilabel":
        pairs = zip(of.truth_NC.T, of.outputs_NC.T, strict=True)
        return float(np.mean([sk.log_loss(truth_N, said_N, labels=[False, True]) for truth_N, said_N in pairs]))
    # Of probabilities in float32 the sum is not close enough to 1 for scikit-learn.
    outputs_NC = of.outputs_NC / of.outputs_NC.sum(axis=1, keepdims=True)
    return float(sk.log_loss(of.targets, outputs_NC, labels=np.arange(of.num_outputs)))


def _calibration_error(of: Prediction) -> float:
    """Mean distance of what is true from what was said, weighted by the samples of each bin of equal width."""
    hit_N, probability_N = confidence(of)
    true, said = calibration_curve(hit_N, probability_N, n_bins=CALIBRATION_BINS)
    samples = np.bincount(calibration_bin(probability_N), minlength=CALIBRATION_BINS)
    return float(np.average(np.abs(true - said), weights=samples[samples > 0]))


def _rmse(of: Prediction) -> float:
    """The mean over the targets where there are several."""
    return float(sk.root_mean_squared_error(of.targets, of.outputs_NC))


def _mae(of: Prediction) -> float:
    return float(sk.mean_absolute_error(of.targets, of.outputs_NC))


def _r2(of: Prediction) -> float | None:
    """The mean over the targets that are not all the same."""
    varying = np.ptp(of.targets, axis=0) > 0
    if not varying.any():
        return None
    return float(sk.r2_score(of.targets[:, varying], of.outputs_NC[:, varying]))


_VALUES: dict[str, Value] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "auroc": _auroc,
    "auprc": _auprc,
    "sensitivity": lambda of: _recall(of, True),
    "specificity": lambda of: _recall(of, False),
    "subset_accuracy": _subset_accuracy,
    "hamming_loss": _hamming_loss,
    "log_loss": _log_loss,
    "calibration_error": _calibration_error,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
}

METRICS: dict[str, Metric] = {name: Metric(value=_VALUES[name], facts=facts) for name, facts in METRIC_FACTS.items()}
"""Name -> how it is computed, and how it is read."""
