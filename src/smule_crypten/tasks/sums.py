"""The metrics that follow from sums over samples, in many resamples at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from smule_crypten.tasks.metrics import CALIBRATION_BINS, Array, Prediction, calibration_bin, confidence

Sums = Mapping[str, Array]
"""Name of what was summed -> (B, k)."""
FromSums = Callable[[Sums], Array]

_ROUNDING = 1e-12


class SampleSums:
    """What is to be summed of each sample, (N, k) by name; of a resample, each sample as often as it is held."""

    def __init__(self, prediction: Prediction) -> None:
        columns = _of_values(prediction) if prediction.is_regression else _of_classes(prediction)
        columns["samples"] = np.ones((len(prediction.targets), 1))
        self._names = list(columns)
        self._ends = np.cumsum([column.shape[1] for column in columns.values()])[:-1]
        self._columns_NK = np.concatenate(list(columns.values()), axis=1).astype(np.float64)

    def of(self, weights_NB: Array) -> Sums:
        """Of resamples that hold each sample so often."""
        sums_BK = weights_NB.T @ self._columns_NK
        return dict(zip(self._names, np.split(sums_BK, self._ends, axis=1), strict=True))


def _of_values(prediction: Prediction) -> dict[str, Array]:
    errors_NC = prediction.outputs_NC - prediction.targets
    centred_NC = prediction.targets - prediction.targets.mean(axis=0)
    return {
        "squared error": errors_NC**2,
        "error": np.abs(errors_NC),
        "target": centred_NC,
        "squared target": centred_NC**2,
    }


def _of_classes(prediction: Prediction) -> dict[str, Array]:
    there_NC, decided_NC, flagged_NC = prediction.truth_NC, prediction.decided_NC, prediction.flagged_NC
    right_NC = there_NC == decided_NC
    return {
        "there": there_NC,
        "decided": decided_NC,
        "found": there_NC & decided_NC,
        "flagged": there_NC & flagged_NC,
        "absent": ~there_NC,
        "cleared": ~there_NC & ~flagged_NC,
        "all right": right_NC.all(axis=1, keepdims=True),
        "wrong": 1 - right_NC.mean(axis=1, keepdims=True),
        "log loss": _log_loss(prediction),
        "calibration": _calibration(prediction),
    }


def _log_loss(prediction: Prediction) -> Array:
    """(N, 1), of several labels their mean."""
    smallest = np.finfo(np.float64).eps
    if prediction.task == "multilabel":
        said_NC = np.clip(prediction.outputs_NC, smallest, 1 - smallest)
        return np.asarray(-np.log(np.where(prediction.truth_NC, said_NC, 1 - said_NC)).mean(axis=1, keepdims=True))
    outputs_NC = prediction.outputs_NC / prediction.outputs_NC.sum(axis=1, keepdims=True)
    said_N = outputs_NC[prediction.truth_NC]
    return np.asarray(-np.log(np.clip(said_N, smallest, 1 - smallest)))[:, None]


def _calibration(prediction: Prediction) -> Array:
    """What is true less what was said, in the bin of each decision: (N, bins), of several labels their mean."""
    true, said = confidence(prediction)
    num_samples = len(prediction.targets)
    decisions = len(true) // num_samples
    bins = np.zeros((num_samples, CALIBRATION_BINS))
    np.add.at(bins, (np.arange(len(true)) // decisions, calibration_bin(said)), (true - said) / decisions)
    return bins


def _ratio(upper: Array, lower: Array) -> Array:
    """NaN where lower is 0."""
    return np.asarray(np.divide(upper, lower, out=np.full(upper.shape, np.nan), where=lower > 0))


def mean_of_defined(values_BC: Array) -> Array:
    """Over those that are defined; NaN where none is."""
    is_defined_BC = ~np.isnan(values_BC)
    return _ratio(np.where(is_defined_BC, values_BC, 0.0).sum(axis=1), is_defined_BC.sum(axis=1))


def _of_each(name: str) -> FromSums:
    return lambda sums: _ratio(sums[name][:, 0], sums["samples"][:, 0])


def _recall(sums: Sums) -> Array:
    return _ratio(sums["found"], sums["there"])


def _precision(sums: Sums) -> Array:
    return _ratio(sums["found"], sums["decided"])


def _f1(sums: Sums) -> Array:
    return _ratio(2 * sums["found"], sums["there"] + sums["decided"])


def _detected(found: str, there: str) -> FromSums:
    """Of class 1, or the mean over all classes."""

    def rate(sums: Sums) -> Array:
        rates_BC = _ratio(sums[found], sums[there])
        return rates_BC[:, 1] if rates_BC.shape[1] == 2 else mean_of_defined(rates_BC)

    return rate


def _calibration_error(sums: Sums) -> Array:
    return _ratio(np.abs(sums["calibration"]).sum(axis=1), sums["samples"][:, 0])


def _rmse(sums: Sums) -> Array:
    return np.asarray(np.sqrt(sums["squared error"] / sums["samples"]).mean(axis=1))


def _mae(sums: Sums) -> Array:
    return np.asarray((sums["error"] / sums["samples"]).mean(axis=1))


def _r2(sums: Sums) -> Array:
    spread_BC = sums["squared target"] - sums["target"] ** 2 / sums["samples"]
    spread_BC = np.where(spread_BC > _ROUNDING * sums["squared target"], spread_BC, 0.0)
    return mean_of_defined(1 - _ratio(sums["squared error"], spread_BC))


FROM_SUMS: dict[str, FromSums] = {
    "accuracy": _of_each("all right"),
    "balanced_accuracy": lambda sums: mean_of_defined(_recall(sums)),
    "macro_f1": lambda sums: mean_of_defined(_f1(sums)),
    "sensitivity": _detected("flagged", "there"),
    "specificity": _detected("cleared", "absent"),
    "subset_accuracy": _of_each("all right"),
    "hamming_loss": _of_each("wrong"),
    "log_loss": _of_each("log loss"),
    "calibration_error": _calibration_error,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
}
"""Metric -> its value in each resample, (B,); NaN where it is not defined."""

BY_CLASS: dict[str, FromSums] = {"recall": _recall, "precision": _precision, "f1": _f1}
"""The same of each class or label against the others, (B, C)."""
