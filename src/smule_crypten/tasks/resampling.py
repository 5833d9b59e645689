"""How far a metric would differ with other test samples: the bootstrap, for all metrics at once.

A resample draws as many samples as there are, with replacement, whatever their class. How often each resample holds
each sample are the weights W (N, B). Every metric but the rankings is a function of sums over samples, so that the sums
of all resamples are one product of matrices (sums.py); AUROC and average precision come from sums over samples in the
order of their probability (ranking.py). Two networks are compared on the same resamples: the weights follow from the
number of samples, that of resamples and the seed alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from smule_crypten.tasks.metrics import Array, Prediction
from smule_crypten.tasks.ranking import Ranking
from smule_crypten.tasks.sums import BY_CLASS, FROM_SUMS, SampleSums, mean_of_defined

SEED = 0
RESAMPLES = 1000
LEAST_RESAMPLES = 200
_MOST_WORK = 10**8
"""Samples x outputs x resamples; beyond, there are fewer resamples."""
_BLOCK = 2**20
"""Weights that are held at a time."""
RANKINGS = ("auroc", "auprc")


def num_resamples(num_samples: int, num_outputs: int) -> int:
    """1,000 up to 10,000 samples of 10 classes; fewer beyond, never less than 200."""
    return min(RESAMPLES, max(LEAST_RESAMPLES, _MOST_WORK // (num_samples * num_outputs)))


def weights(num_samples: int, resamples: int, seed: int = SEED) -> Iterator[Array]:
    """How often each resample holds each sample: (N, b), for some of the resamples at a time."""
    generator = np.random.default_rng(seed)
    a_block = max(1, _BLOCK // num_samples)
    for start in range(0, resamples, a_block):
        count = min(a_block, resamples - start)
        drawn_BN = generator.integers(num_samples, size=(count, num_samples))
        places = drawn_BN * count + np.arange(count)[:, None]
        counts = np.bincount(places.reshape(-1), minlength=num_samples * count)
        yield counts.reshape(num_samples, count).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """Every metric in every resample, (B,), and those of each class or label, (B, C); NaN where it is not defined."""

    metrics: dict[str, Array]
    by_class: dict[str, Array]


def resampled(prediction: Prediction, names: Sequence[str], blocks: Iterable[Array] | None = None) -> Resampled:
    """The named metrics of a task in every resample.

    Args:
        names: of metrics.METRICS, all of the task.
        blocks: weights (N, b) of resamples; None draws them.
    """
    size = prediction.outputs_NC.shape
    drawn = weights(size[0], num_resamples(*size)) if blocks is None else blocks
    measure = _Measure(prediction, names)
    parts = [measure.of(weights_NB) for weights_NB in drawn]
    metrics, by_class = ([part[half] for part in parts] for half in (0, 1))
    return Resampled(metrics=_joined(metrics), by_class=_joined(by_class))


class _Measure:
    """All that is measured, of resamples by their weights."""

    def __init__(self, prediction: Prediction, names: Sequence[str]) -> None:
        self._names = names
        self._sums = SampleSums(prediction)
        self._rankings: list[Ranking] = []
        self._ranked = prediction.ranked
        if not prediction.is_regression:
            pairs = zip(prediction.truth_NC.T, prediction.outputs_NC.T, strict=True)
            self._rankings = [Ranking(there_N, probability_N) for there_N, probability_N in pairs]

    def of(self, weights_NB: Array) -> tuple[dict[str, Array], dict[str, Array]]:
        """Metrics, and those by class."""
        sums = self._sums.of(weights_NB)
        metrics = {name: FROM_SUMS[name](sums) for name in self._names if name in FROM_SUMS}
        if not self._rankings:
            return metrics, {}
        by_class = {name: rate(sums) for name, rate in BY_CLASS.items()}
        rankings = zip(*(ranking.values(weights_NB) for ranking in self._rankings), strict=True)
        by_class |= {name: np.stack(of_each, axis=1) for name, of_each in zip(RANKINGS, rankings, strict=True)}
        metrics |= {name: mean_of_defined(by_class[name][:, self._ranked]) for name in RANKINGS if name in self._names}
        return metrics, by_class


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
