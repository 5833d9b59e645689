"""Each metric is held to a computation of its own, by hand in NumPy or by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import xlogy
from scipy.stats import mannwhitneyu, pearsonr, rankdata

from smule_crypten.metric_names import METRIC_FACTS, PRIMARY, metrics_of
from smule_crypten.tasks.metrics import METRICS, Array

RNG = np.random.default_rng(5)


def _probabilities(num_classes: int, targets_N: np.ndarray, steps: int = 40) -> Array:
    """Better than chance, with ties, and no class at exactly 0."""
    scores_NC = RNG.normal(size=(len(targets_N), num_classes))
    scores_NC[np.arange(len(targets_N)), targets_N] += 1.0
    whole_NC = 1 + np.floor(steps * np.exp(scores_NC) / np.exp(scores_NC).sum(axis=1, keepdims=True))
    return np.asarray(whole_NC / whole_NC.sum(axis=1, keepdims=True))


TWO = RNG.integers(2, size=150) * RNG.integers(2, size=150)
FOUR = RNG.integers(4, size=200)
OF_TWO, OF_FOUR = _probabilities(2, TWO), _probabilities(4, FOUR)
LABELS = (RNG.random((180, 3)) < [0.5, 0.2, 0.1]).astype(float)
OF_LABELS = np.round(np.clip(0.3 * LABELS + 0.6 * RNG.random(LABELS.shape), 0.01, 0.99), 2)
VALUES = RNG.normal(size=(120, 2)) * [1.0, 30.0] + [0.0, 100.0]
OF_VALUES = VALUES + RNG.normal(size=VALUES.shape) * [0.5, 10.0]
PER_LABEL = np.array([0.5, 0.4, 0.3])


def _auroc(there_N: np.ndarray, said_N: Array) -> float:
    positive, negative = said_N[there_N], said_N[~there_N]
    return float(mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative)))


def _auprc(there_N: np.ndarray, said_N: Array) -> float:
    """Mean over the positives of the precision at their probability."""
    at = [there_N[said_N >= threshold].mean() for threshold in said_N[there_N]]
    return float(np.mean(at))


def _f1(there_N: np.ndarray, found_N: np.ndarray) -> float:
    return float(2 * (there_N & found_N).sum() / (there_N.sum() + found_N.sum()))


def _calibration(true_N: np.ndarray, said_N: Array) -> float:
    bins = np.minimum(np.ceil(said_N * 15 - 1e-9).astype(int), 15)
    gaps = [abs(true_N[bins == b].mean() - said_N[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(sum(gaps) / len(said_N))


def _binary(name: str, threshold: float | None = None) -> float | None:
    return METRICS[name](OF_TWO, TWO, None if threshold is None else np.array([np.nan, threshold]))


def test_two_classes() -> None:
    """The probability of class 1 is what AUROC, AUPRC and calibration are about."""
    there_N, said_N = TWO == 1, OF_TWO[:, 1]
    found_N = OF_TWO[:, 1] > OF_TWO[:, 0]
    expected = {
        "accuracy": (found_N == there_N).mean(),
        "balanced_accuracy": (found_N[there_N].mean() + (~found_N[~there_N]).mean()) / 2,
        "macro_f1": (_f1(there_N, found_N) + _f1(~there_N, ~found_N)) / 2,
        "auroc": _auroc(there_N, said_N),
        "auprc": _auprc(there_N, said_N),
        "sensitivity": found_N[there_N].mean(),
        "specificity": (~found_N[~there_N]).mean(),
        "log_loss": -(xlogy(there_N, said_N) + xlogy(~there_N, 1 - said_N)).mean(),
        "calibration_error": _calibration(there_N, said_N),
    }
    assert {name: _binary(name) for name in expected} == pytest.approx(expected)


def test_a_threshold_moves_sensitivity_and_specificity_alone() -> None:
    """They are those at the threshold that was picked; what says which class is the most probable one stays."""
    there_N, found_N = TWO == 1, OF_TWO[:, 1] >= 0.2
    assert _binary("sensitivity", 0.2) == pytest.approx(found_N[there_N].mean())
    assert _binary("specificity", 0.2) == pytest.approx((~found_N[~there_N]).mean())
    for name in set(metrics_of("classification")) - {"sensitivity", "specificity"}:
        assert _binary(name, 0.2) == _binary(name)


def test_four_classes() -> None:
    """One against the rest, and the mean over the classes."""
    there_NC, found_N = FOUR[:, None] == np.arange(4), OF_FOUR.argmax(axis=1)
    found_NC = found_N[:, None] == np.arange(4)
    pairs = list(zip(there_NC.T, found_NC.T, OF_FOUR.T, strict=True))
    recalls = [found_N[there_N].mean() for there_N, found_N, _ in pairs]
    expected = {
        "accuracy": (found_N == FOUR).mean(),
        "balanced_accuracy": np.mean(recalls),
        "macro_f1": np.mean([_f1(there_N, found_N) for there_N, found_N, _ in pairs]),
        "auroc": np.mean([_auroc(there_N, said_N) for there_N, _, said_N in pairs]),
        "auprc": np.mean([_auprc(there_N, said_N) for there_N, _, said_N in pairs]),
        "sensitivity": np.mean(recalls),
        "specificity": np.mean([(~found_N[~there_N]).mean() for there_N, found_N, _ in pairs]),
        "log_loss": -np.log(OF_FOUR[np.arange(200), FOUR]).mean(),
        "calibration_error": _calibration(found_N == FOUR, OF_FOUR.max(axis=1)),
    }
    assert {name: METRICS[name](OF_FOUR, FOUR) for name in expected} == pytest.approx(expected)


def test_several_labels() -> None:
    """Each label at its own threshold; the calibration is that of all decisions together."""
    there_NC, found_NC = LABELS == 1, OF_LABELS >= PER_LABEL
    columns = range(3)
    loss_NC = -(xlogy(there_NC, OF_LABELS) + xlogy(~there_NC, 1 - OF_LABELS))
    expected = {
        "macro_f1": np.mean([_f1(there_NC[:, c], found_NC[:, c]) for c in columns]),
        "auroc": np.mean([_auroc(there_NC[:, c], OF_LABELS[:, c]) for c in columns]),
        "auprc": np.mean([_auprc(there_NC[:, c], OF_LABELS[:, c]) for c in columns]),
        "subset_accuracy": (there_NC == found_NC).all(axis=1).mean(),
        "hamming_loss": (there_NC != found_NC).mean(),
        "log_loss": loss_NC.mean(),
        "calibration_error": _calibration(there_NC.ravel(), OF_LABELS.ravel()),
    }
    assert {name: METRICS[name](OF_LABELS, LABELS, PER_LABEL) for name in expected} == pytest.approx(expected)


def test_values() -> None:
    """The mean over the targets. A line through the values themselves shows R2 as the square of a correlation."""
    errors_NC = OF_VALUES - VALUES
    spread_C = ((VALUES - VALUES.mean(axis=0)) ** 2).sum(axis=0)
    expected = {
        "rmse": np.sqrt((errors_NC**2).mean(axis=0)).mean(),
        "mae": np.abs(errors_NC).mean(),
        "r2": (1 - (errors_NC**2).sum(axis=0) / spread_C).mean(),
    }
    assert {name: METRICS[name](OF_VALUES, VALUES) for name in expected} == pytest.approx(expected)
    slope, start = np.polyfit(OF_VALUES[:, 0], VALUES[:, 0], 1)
    fitted_NC = slope * OF_VALUES[:, :1] + start
    r2 = pearsonr(OF_VALUES[:, 0], VALUES[:, 0]).statistic ** 2
    assert METRICS["r2"](fitted_NC, VALUES[:, :1]) == pytest.approx(r2)


def test_ranks_alone_decide_an_auroc() -> None:
    """Any increasing function of the probabilities has the same one."""
    ranks_N = rankdata(OF_TWO[:, 1]) / (len(TWO) + 1)
    ranked = METRICS["auroc"](np.stack([1 - ranks_N, ranks_N], axis=1), TWO)
    assert ranked == pytest.approx(_binary("auroc"))


@pytest.mark.parametrize("name", ["auroc", "auprc"])
def test_what_is_not_defined_is_none(name: str) -> None:
    """One class only, or none, has no ranking; a class that never occurs is left out of the mean."""
    metric = METRICS[name]
    assert metric(OF_TWO, np.zeros(len(TWO), dtype=np.int64)) is None
    assert metric(OF_TWO, np.ones(len(TWO), dtype=np.int64)) is None
    fifth_NC = np.concatenate([OF_FOUR, np.zeros((len(FOUR), 1))], axis=1)
    assert metric(fifth_NC, FOUR) == pytest.approx(metric(OF_FOUR, FOUR))
    assert metric(OF_LABELS[:, :1], np.zeros((len(LABELS), 1))) is None


def test_no_samples_have_no_metric() -> None:
    """None, and no error deep inside a library."""
    for name in metrics_of("classification"):
        assert METRICS[name](np.zeros((0, 3)), np.zeros(0, dtype=np.int64)) is None
    assert METRICS["r2"](OF_VALUES, np.ones_like(VALUES)) is None


def test_single_precision_is_taken() -> None:
    """What a softmax in float32 gives sums to 1 but for its rounding, of which scikit-learn would warn. A probability
    on the edge of two bins may change its bin."""
    single = OF_FOUR.astype(np.float32)
    for name in set(metrics_of("classification")) - {"calibration_error"}:
        assert METRICS[name](single.astype(np.float64), FOUR) == pytest.approx(METRICS[name](OF_FOUR, FOUR), rel=1e-6)


def test_names() -> None:
    """Each name has a computation, and the metric that decides is one of its task."""
    assert list(METRICS) == list(METRIC_FACTS)
    assert all(name in metrics_of(task) for task, name in PRIMARY.items())
