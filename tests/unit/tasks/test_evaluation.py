"""Intervals and gains of a network's figures, thresholds from a validation part, and the points of its pictures."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import bootstrap, norm
from sklearn.metrics import roc_auc_score

from smule_crypten.metric_names import METRIC_FACTS, metrics_of
from smule_crypten.tasks.curves import MOST_CURVES, MOST_POINTS, roc_curves
from smule_crypten.tasks.evaluation import evaluated, gain
from smule_crypten.tasks.metrics import METRICS, Prediction
from smule_crypten.tasks.thresholds import picked_thresholds


def _of_two(num_samples: int, share: float = 0.3, signal: float = 1.0, seed: int = 0) -> Prediction:
    rng = np.random.default_rng(seed)
    targets_N = (rng.random(num_samples) < share).astype(np.int64)
    positive_N = 1 / (1 + np.exp(-(rng.normal(size=num_samples) + signal * (2 * targets_N - 1))))
    outputs_NC = np.stack([1 - positive_N, positive_N], axis=1)
    return Prediction(task="classification", outputs_NC=outputs_NC, targets=targets_N)


def _of_classes(num_samples: int, num_classes: int, signal: float = 1.5) -> Prediction:
    rng = np.random.default_rng(1)
    targets_N = rng.integers(num_classes, size=num_samples)
    scores_NC = rng.normal(size=(num_samples, num_classes))
    scores_NC[np.arange(num_samples), targets_N] += signal
    outputs_NC = np.exp(scores_NC) / np.exp(scores_NC).sum(axis=1, keepdims=True)
    return Prediction(task="classification", outputs_NC=outputs_NC, targets=targets_N)


def _hits(num_samples: int, wrong: np.ndarray) -> Prediction:
    """Of class 0 throughout; the network is wrong at some."""
    outputs_NC = np.tile([0.8, 0.2], (num_samples, 1))
    outputs_NC[wrong] = [0.2, 0.8]
    return Prediction(task="classification", outputs_NC=outputs_NC, targets=np.zeros(num_samples, dtype=np.int64))


def test_the_interval_of_an_accuracy_is_that_of_the_binomial() -> None:
    """80 of 400 wrong: 0.8 with a standard error of 0.02."""
    accuracy = evaluated(_hits(400, np.arange(80))).metrics["accuracy"]
    assert accuracy.value == 0.8
    low, high = norm.interval(0.95, loc=0.8, scale=np.sqrt(0.8 * 0.2 / 400))
    assert (accuracy.low, accuracy.high) == pytest.approx((low, high), abs=0.005)


def test_the_interval_of_an_auroc_is_that_of_scipy() -> None:
    """Whose bootstrap calls scikit-learn once a resample."""
    prediction = _of_two(300)
    pair = (prediction.targets, prediction.outputs_NC[:, 1])
    expected = bootstrap(
        pair, roc_auc_score, paired=True, vectorized=False, method="percentile", n_resamples=600, rng=2
    ).confidence_interval
    found = evaluated(prediction).metrics["auroc"]
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_intervals_cover_the_truth() -> None:
    """Of 60 test sets from a network whose accuracy is known, about 57 have it inside."""
    truth = norm.cdf(1.0)
    found = [evaluated(_of_two(250, share=0.5, seed=seed)).metrics["accuracy"] for seed in range(60)]
    covered = sum(figure.low <= truth <= figure.high for figure in found if figure.low is not None)
    assert 53 <= covered <= 60


def test_a_gain_is_measured_on_the_same_samples() -> None:
    """Wrong at 20 of the 40 that the other is wrong at, and nowhere else: McNemar's variance, far below that of two
    accuracies on samples of their own."""
    better, worse = evaluated(_hits(400, np.arange(20))), evaluated(_hits(400, np.arange(40)))
    found = gain("accuracy", better, worse)
    assert found.value == pytest.approx(0.05)
    low, high = norm.interval(0.95, loc=0.05, scale=np.sqrt((0.05 - 0.05**2) / 400))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)


def test_a_gain_is_positive_where_a_network_is_better() -> None:
    """Whichever way the metric counts; that of a network over itself is 0 without an interval around it."""
    strong, weak = evaluated(_of_two(300, signal=1.5)), evaluated(_of_two(300, signal=0.3))
    for name in ("auroc", "log_loss"):
        value, low = gain(name, strong, weak).value, gain(name, strong, weak).low
        assert value is not None
        assert low is not None
        assert value > low > 0
        same = gain(name, strong, strong)
        assert (same.value, same.low, same.high) == (0, 0, 0)
    assert not METRIC_FACTS["log_loss"].higher_is_better


def test_what_few_samples_cannot_say_has_no_interval() -> None:
    """One positive is missing in every third resample; all of one class have no ranking."""
    one = Prediction(task="classification", outputs_NC=np.tile([0.6, 0.4], (50, 1)), targets=(np.arange(50) == 7) * 1)
    found = evaluated(one).metrics["auroc"]
    assert (found.value, found.low, found.high) == (0.5, None, None)
    assert evaluated(_hits(30, np.arange(3))).metrics["auroc"].value is None


def test_an_interval_holds_its_figure() -> None:
    """Also of a metric that is larger in nearly all resamples: the calibration error of a network without any."""
    positive_N = np.repeat(np.arange(1, 10) / 10, 100)
    targets_N = (np.tile(np.arange(100), 9) < 100 * positive_N - 0.5).astype(np.int64)
    outputs_NC = np.stack([1 - positive_N, positive_N], axis=1)
    found = evaluated(Prediction(task="classification", outputs_NC=outputs_NC, targets=targets_N))
    resampled_B, figure = found.resamples.metrics["calibration_error"], found.metrics["calibration_error"]
    assert figure.value == pytest.approx(0, abs=1e-12)
    assert np.quantile(resampled_B, 0.025) > 0.01
    assert figure.low == figure.value
    assert figure.high == pytest.approx(np.quantile(resampled_B, 0.975), abs=1e-6)


def test_each_class_apart() -> None:
    """Support, and recall with an interval, of one against the rest; a class that is not there has none."""
    prediction = _of_classes(400, 4)
    wider_NC = np.concatenate([prediction.outputs_NC, np.zeros((400, 1))], axis=1)
    found = evaluated(Prediction(task="classification", outputs_NC=wider_NC, targets=prediction.targets))
    decided_N = prediction.outputs_NC.argmax(axis=1)
    for label in range(4):
        of_class, there_N = found.by_class[label], prediction.targets == label
        assert (of_class.label, of_class.support) == (label, there_N.sum())
        assert of_class.recall.value == pytest.approx((decided_N[there_N] == label).mean())
        assert of_class.auroc.low is not None
        assert of_class.auroc.value is not None
        assert of_class.auroc.high is not None
        assert of_class.auroc.low < of_class.auroc.value < of_class.auroc.high
    absent = found.by_class[4]
    assert (absent.support, absent.recall.value, absent.precision.value, absent.auroc.value) == (0, None, None, None)


def test_youden_picks_the_threshold_of_two_classes() -> None:
    """Where sensitivity and specificity have the largest sum on the validation part, of all thresholds tried."""
    validation = _of_two(200, share=0.1)
    picked = picked_thresholds(validation)
    assert picked is not None

    def youden(threshold: float) -> float:
        found_N, there_N = validation.outputs_NC[:, 1] >= threshold, validation.targets == 1
        return float(found_N[there_N].mean() + (~found_N[~there_N]).mean())

    assert youden(picked[1]) == max(map(youden, validation.outputs_NC[:, 1]))
    assert picked_thresholds(_of_classes(50, 3)) is None
    assert picked_thresholds(_hits(20, np.arange(3))) == pytest.approx([0.5, 0.5])


def test_each_label_has_the_threshold_of_its_highest_f1() -> None:
    """A label that no sample of the validation part has keeps 0.5."""
    rng = np.random.default_rng(4)
    targets_NC = (rng.random((200, 3)) < [0.4, 0.1, 0.0]).astype(np.float64)
    outputs_NC = np.round(0.2 * targets_NC + 0.5 * rng.random(targets_NC.shape), 2)
    picked = picked_thresholds(Prediction(task="multilabel", outputs_NC=outputs_NC, targets=targets_NC))
    assert picked is not None
    for label in (0, 1):
        there_N = targets_NC[:, label] == 1
        found = {threshold: outputs_NC[:, label] >= threshold for threshold in np.unique(outputs_NC[:, label])}
        f1 = {key: 2 * (there_N & at).sum() / (there_N.sum() + at.sum()) for key, at in found.items()}
        assert f1[picked[label]] == max(f1.values())
    assert picked[2] == 0.5


def test_pictures_have_few_points() -> None:
    """ROC curves of at most 100 points from corner to corner, whose area is still the AUROC; bins; confusions."""
    prediction = _of_two(5000)
    found = evaluated(prediction)
    (curve,) = found.roc
    assert len(curve.false_positive_rate) == len(curve.true_positive_rate) == MOST_POINTS
    assert (curve.label, curve.false_positive_rate[0], curve.true_positive_rate[-1]) == (1, 0, 1)
    area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert area == pytest.approx(found.metrics["auroc"].value, abs=0.003)
    bins = found.reliability
    assert bins is not None
    assert sum(bins.decisions) == 5000
    gaps = np.abs(np.subtract(bins.said, bins.true))
    expected = found.metrics["calibration_error"].value
    assert np.average(gaps, weights=bins.decisions) == pytest.approx(expected, abs=1e-4)
    positive_N = prediction.outputs_NC[:, 1] > 0.5
    assert found.confusion is not None
    assert found.confusion[1][0] == ((prediction.targets == 1) & ~positive_N).sum()


def test_many_classes_have_the_curves_of_the_largest() -> None:
    """And no confusion matrix that nobody can read."""
    prediction = _of_classes(3000, 120)
    curves = roc_curves(prediction)
    counts = np.bincount(prediction.targets, minlength=120)
    shown = [curve.label for curve in curves]
    assert len(shown) == MOST_CURVES
    assert min(counts[shown]) >= max(np.delete(counts, shown))
    assert evaluated(prediction).confusion is None


def test_values_have_metrics_and_no_classes() -> None:
    """Regression: metrics with intervals, and nothing of what classes have."""
    rng = np.random.default_rng(6)
    targets_NC = rng.normal(size=(200, 2))
    found = evaluated(
        Prediction(task="regression", outputs_NC=targets_NC + rng.normal(size=(200, 2)), targets=targets_NC)
    )
    assert list(found.metrics) == metrics_of("regression")
    assert all(figure.low is not None for figure in found.metrics.values())
    assert (found.by_class, found.roc, found.reliability, found.confusion, found.thresholds) == (
        [],
        [],
        None,
        None,
        None,
    )


def test_outputs_that_are_not_finite_have_no_figures() -> None:
    """A network that overflows is not taken for a bad one, and ends no run; nor is it compared."""
    good = _of_two(60)
    outputs_NC = good.outputs_NC.copy()
    outputs_NC[3] = np.nan
    bad = evaluated(Prediction(task="classification", outputs_NC=outputs_NC, targets=good.targets))
    assert all(figure.value is None for figure in bad.metrics.values())
    assert METRICS["accuracy"](outputs_NC, good.targets) is None
    assert gain("accuracy", evaluated(good), bad).low is None


def test_ten_thousand_samples_take_little_time() -> None:
    """All metrics with 1,000 resamples and the figures of 10 classes: 1.3 s on one core, and no minute."""
    prediction = _of_classes(10_000, 10)
    started = time.process_time()
    assert evaluated(prediction).num_resamples == 1000
    assert time.process_time() - started < 8
