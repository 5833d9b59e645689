"""From which probability on a class or a label is found, picked on the validation part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from smule_crypten.tasks.metrics import Array, Prediction

WITHOUT_VALIDATION = 0.5


def picked_thresholds(validation: Prediction) -> Array | None:
    """One an output, where the task has thresholds.

    Of two classes, class 1 is found from the probability of Youden's index on, where sensitivity and specificity have
    the largest sum. Of several labels each is found from the probability of its highest F1 on. It is 0.5 where the
    validation part is empty, or has no sample with, or none without.
    """
    if validation.task == "multilabel":
        pairs = zip(validation.truth_NC.T, validation.outputs_NC.T, strict=True)
        return np.array([_of_best_f1(there_N, said_N) for there_N, said_N in pairs])
    if not validation.is_binary:
        return None
    threshold = _of_youden(validation.truth_NC[:, 1], validation.outputs_NC[:, 1])
    return np.array([1 - threshold, threshold])


def _of_youden(is_there_N: NDArray[np.bool_], probability_N: Array) -> float:
    if is_there_N.all() or not is_there_N.any():
        return WITHOUT_VALIDATION
    false_positive, true_positive, thresholds = sk.roc_curve(is_there_N, probability_N)
    # The first one is infinite: nothing is found.
    return float(thresholds[1:][np.argmax((true_positive - false_positive)[1:])])


def _of_best_f1(is_there_N: NDArray[np.bool_], probability_N: Array) -> float:
    if is_there_N.all() or not is_there_N.any():
        return WITHOUT_VALIDATION
    precision, recall, thresholds = sk.precision_recall_curve(is_there_N, probability_N)
    # The last pair has no threshold: nothing is found.
    f1 = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], np.finfo(np.float64).tiny)
    return float(thresholds[np.argmax(f1)])
