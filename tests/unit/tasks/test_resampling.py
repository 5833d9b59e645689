"""The bootstrap of all metrics at once is that of the metrics themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from smule_crypten.metric_names import TaskName, metrics_of
from smule_crypten.tasks.metrics import METRICS, Prediction
from smule_crypten.tasks.resampling import LEAST_RESAMPLES, RESAMPLES, num_resamples, resampled, weights


def _prediction(task: TaskName, num_outputs: int, num_samples: int = 60, decimals: int = 2) -> Prediction:
    """With ties and rare classes; the last class is in a few samples only."""
    rng = np.random.default_rng(3)
    if task == "regression":
        targets_NC = rng.normal(size=(num_samples, num_outputs)) * 10 + 1000
        outputs_NC = targets_NC + rng.normal(size=targets_NC.shape)
        return Prediction(task=task, outputs_NC=outputs_NC, targets=targets_NC)
    scores_NC = rng.normal(size=(num_samples, num_outputs))
    if task == "multilabel":
        targets_NC = (rng.random(scores_NC.shape) < np.linspace(0.5, 0.05, num_outputs)).astype(np.float64)
        outputs_NC = np.round(1 / (1 + np.exp(-scores_NC - 2 * targets_NC)), decimals)
        thresholds_C = np.linspace(0.3, 0.6, num_outputs)
        return Prediction(task=task, outputs_NC=outputs_NC, targets=targets_NC, thresholds_C=thresholds_C)
    targets_N = np.minimum(rng.geometric(0.5, size=num_samples) - 1, num_outputs - 1)
    scores_NC[np.arange(num_samples), targets_N] += 1.0
    outputs_NC = np.round(np.exp(scores_NC) / np.exp(scores_NC).sum(axis=1, keepdims=True), decimals) + 1e-3
    outputs_NC /= outputs_NC.sum(axis=1, keepdims=True)
    thresholds_C = np.array([np.nan, 0.3]) if num_outputs == 2 else None
    return Prediction(task=task, outputs_NC=outputs_NC, targets=targets_N, thresholds_C=thresholds_C)


@pytest.mark.parametrize(
    ("task", "num_outputs"),
    [("classification", 2), ("classification", 5), ("multilabel", 4), ("regression", 1), ("regression", 3)],
)
def test_a_resample_has_the_metrics_of_its_samples(task: TaskName, num_outputs: int) -> None:
    """Each of 40 resamples, written out sample by sample, has what scikit-learn says of it, undefined ones as well."""
    prediction, names = _prediction(task, num_outputs), metrics_of(task)
    weights_NB = next(weights(60, 40))
    found = resampled(prediction, names, [weights_NB]).metrics
    for column in range(40):
        held = np.repeat(np.arange(60), weights_NB[:, column].astype(int))
        for name in names:
            expected = METRICS[name](prediction.outputs_NC[held], prediction.targets[held], prediction.thresholds_C)
            assert found[name][column] == pytest.approx(np.nan if expected is None else expected, nan_ok=True), name


def test_classes_apart_have_the_metrics_of_one_against_the_rest() -> None:
    """Recall, precision and F1 of the class that is decided on, and the rankings of its probability."""
    prediction = _prediction("classification", 4)
    by_class = resampled(prediction, metrics_of("classification"), [np.ones((60, 1))]).by_class
    decided_N = prediction.outputs_NC.argmax(axis=1)
    for label in range(4):
        there_N, found_N = prediction.targets == label, decided_N == label
        said_NC = np.stack([1 - prediction.outputs_NC[:, label], prediction.outputs_NC[:, label]], axis=1)
        assert by_class["recall"][0, label] == pytest.approx(found_N[there_N].mean())
        assert by_class["precision"][0, label] == pytest.approx(there_N[found_N].mean(), nan_ok=True)
        for name in ("auroc", "auprc"):
            assert by_class[name][0, label] == pytest.approx(METRICS[name](said_NC, there_N.astype(np.int64)))


def test_a_resample_draws_with_replacement() -> None:
    """As many samples as there are, each about as often as a binomial says, the same in blocks of any size."""
    drawn = np.concatenate(list(weights(500, 400, seed=1)), axis=1)
    assert drawn.shape == (500, 400)
    assert (drawn.sum(axis=0) == 500).all()
    assert (drawn == 0).mean() == pytest.approx(binom.pmf(0, 500, 1 / 500), abs=0.005)
    assert drawn.var() == pytest.approx(binom.var(500, 1 / 500), abs=0.02)
    assert np.array_equal(drawn, np.concatenate(list(weights(500, 400, seed=1)), axis=1))
    assert not np.array_equal(drawn, np.concatenate(list(weights(500, 400, seed=2)), axis=1))


def test_the_accuracy_of_resamples_is_binomial() -> None:
    """Its quantiles are those of the known distribution."""
    targets_N = np.zeros(200, dtype=np.int64)
    outputs_NC = np.tile([0.9, 0.1], (200, 1))
    outputs_NC[:40] = [0.1, 0.9]
    prediction = Prediction(task="classification", outputs_NC=outputs_NC, targets=targets_N)
    accuracy = resampled(prediction, ["accuracy"]).metrics["accuracy"]
    assert len(accuracy) == RESAMPLES
    expected = binom.ppf([0.025, 0.5, 0.975], 200, 0.8) / 200
    assert np.quantile(accuracy, [0.025, 0.5, 0.975]) == pytest.approx(expected, abs=0.011)
    assert accuracy.std() == pytest.approx(binom.std(200, 0.8) / 200, rel=0.1)


def test_large_data_gets_fewer_resamples() -> None:
    """So that the time stays bounded; 10,000 samples of 10 classes still get all."""
    assert num_resamples(10_000, 10) == RESAMPLES
    assert num_resamples(50_000, 10) == LEAST_RESAMPLES
    assert num_resamples(30_000, 10) == 333
