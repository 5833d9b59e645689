"""What the pictures of a network show: ROC curves, reliability and confusions, of few enough points for a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from smule_crypten.tasks.metrics import CALIBRATION_BINS, Prediction, calibration_bin, confidence

MOST_POINTS = 100
"""Of an ROC curve."""
MOST_CURVES = 20
"""ROC curves of a network; of more classes, those with the most samples."""
MOST_CONFUSED = 100
"""Classes of a confusion matrix; of more there is none."""
_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class Roc:
    """Of one class or label against the rest: points in the order of falling thresholds, from (0, 0) to (1, 1)."""

    label: int
    false_positive_rate: list[float]
    true_positive_rate: list[float]


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Of the bins that hold anything: mean of what was said, share of what is true, and how many decisions."""

    said: list[float]
    true: list[float]
    decisions: list[int]


def roc_curves(prediction: Prediction) -> list[Roc]:
    """Of the classes or labels that some samples have and others do not; of two classes that of class 1."""
    truth_NC = prediction.truth_NC
    counts_C = truth_NC.sum(axis=0)
    defined = [label for label in prediction.ranked if 0 < counts_C[label] < len(truth_NC)]
    largest = sorted(defined, key=lambda label: -counts_C[label])[:MOST_CURVES]
    return [_roc(prediction, label) for label in sorted(largest)]


def _roc(prediction: Prediction, label: int) -> Roc:
    false_positive, true_positive, _ = sk.roc_curve(prediction.truth_NC[:, label], prediction.outputs_NC[:, label])
    if len(false_positive) > MOST_POINTS:
        chosen = np.linspace(0, len(false_positive) - 1, MOST_POINTS).round().astype(int)
        false_positive, true_positive = false_positive[chosen], true_positive[chosen]
    return Roc(label=label, false_positive_rate=_rounded(false_positive), true_positive_rate=_rounded(true_positive))


def reliability(prediction: Prediction) -> Reliability:
    """What calibration_error is about."""
    hit_N, probability_N = confidence(prediction)
    true, said = calibration_curve(hit_N, probability_N, n_bins=CALIBRATION_BINS)
    decisions = np.bincount(calibration_bin(probability_N))
    return Reliability(said=_rounded(said), true=_rounded(true), decisions=decisions[decisions > 0].tolist())


def confusion_matrix(prediction: Prediction) -> list[list[int]] | None:
    """How many samples of the class of each row were taken for the class of each column, the most probable one."""
    if prediction.task != "classification" or prediction.num_outputs > MOST_CONFUSED:
        return None
    decided_N, labels = prediction.outputs_NC.argmax(axis=1), np.arange(prediction.num_outputs)
    counts: list[list[int]] = sk.confusion_matrix(prediction.targets, decided_N, labels=labels).tolist()
    return counts


def _rounded(values: np.ndarray) -> list[float]:
    rounded: list[float] = values.round(_DIGITS).tolist()
    return rounded
