"""Two networks' answers to the same samples as one prediction, weighted by answers on samples of known label.

Of classes: p = w softmax(own / t_own) + (1 - w) softmax(peer / t_peer): each network is calibrated first (C. Guo, G.
Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017), so one that knows nothing of
the party's data becomes flat and changes little. Then w is the weight under which known labels are most likely, drawn
towards 1/2 as if prior_samples more had no preference. Of several labels the same with sigmoids. Of values: w own +
(1 - w) peer, with the w of the least squared error.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

LEAST_FOR_FIT = 50
"""Samples of known label below which a fit tells less than it errs."""
PRIOR_SAMPLES = 200
_TEMPERATURES = torch.logspace(-1, 1, 41)
_WEIGHTS = torch.linspace(0, 1, 21)
_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Combined(ABC):
    """How two networks' answers become one.

    The temperatures are those under which num_known labels are most likely; 0 labels for none of this.
    """

    own_temperature: float = 1.0
    peer_temperature: float = 1.0
    num_known: int = 0

    @abstractmethod
    def predictions(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> torch.Tensor:
        """(N, C), probabilities or values in own units, from the outputs of both networks."""

    @abstractmethod
    def as_plain(self) -> dict[str, Any]:
        """own_weight, own_temperature, peer_temperature, num_known, own_weight_by_class where there is one."""


@dataclass(frozen=True, kw_only=True)
class Combination(Combined):
    """own_weight is w, 1/2 without a fit."""

    own_weight: float = 0.5

    def predictions(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> torch.Tensor:
        own = (own_NC / self.own_temperature).softmax(1)
        peer = (peer_NC / self.peer_temperature).softmax(1)
        return self.own_weight * own + (1 - self.own_weight) * peer

    def as_plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class LabelCombination(Combination):
    """Of several labels."""

    def predictions(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> torch.Tensor:
        own = (own_NC / self.own_temperature).sigmoid()
        peer = (peer_NC / self.peer_temperature).sigmoid()
        return self.own_weight * own + (1 - self.own_weight) * peer


@dataclass(frozen=True, kw_only=True)
class LinearCombination(Combination):
    """Of values; mean and std bring outputs into own units. Nothing is calibrated."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def predictions(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> torch.Tensor:
        values_NC = self.own_weight * own_NC + (1 - self.own_weight) * peer_NC
        return values_NC * torch.tensor(self.std) + torch.tensor(self.mean)

    def as_plain(self) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in ("mean", "std")}


Rule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Combined]
"""From the party's own and the peer's outputs (N, C) on samples of known label, and their targets."""
OutputLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def fit(
    own_NC: torch.Tensor,
    peer_NC: torch.Tensor,
    labels_N: torch.Tensor,
    *,
    prior_samples: int = PRIOR_SAMPLES,
    balanced: bool = False,
) -> Combination:
    """The combination that suits these labels best; equal weights where there are fewer than LEAST_FOR_FIT.

    Args:
        balanced: all classes among the labels count the same, however many samples each has.
    """
    if len(labels_N) < LEAST_FOR_FIT:
        return Combination()
    weight_N = 1 / torch.bincount(labels_N)[labels_N] if balanced else torch.ones(len(labels_N))
    # As many samples of equal weight would say as much.
    count = float(weight_N.sum() ** 2 / weight_N.square().sum())

    def loss(probabilities_NC: torch.Tensor, labels_N: torch.Tensor) -> float:
        return float(weight_N @ F.nll_loss(log_probabilities(probabilities_NC), labels_N, reduction="none"))

    return fit_calibrated(Combination(), own_NC, peer_NC, labels_N, F.cross_entropy, loss, prior_samples, count)


def fit_calibrated(
    start: Combination,
    own_NC: torch.Tensor,
    peer_NC: torch.Tensor,
    targets: torch.Tensor,
    output_loss: OutputLoss,
    loss: Callable[[torch.Tensor, torch.Tensor], float],
    prior_samples: int,
    count: float | None = None,
) -> Combination:
    """Both temperatures by the loss of outputs, then the weight by the loss of predictions; start below LEAST_FOR_FIT.

    Args:
        count: how many samples of equal weight say as much; None for all.
    """
    if len(targets) < LEAST_FOR_FIT:
        return start
    calibrated = dataclasses.replace(start, **calibration(own_NC, peer_NC, targets, output_loss))
    candidates = [dataclasses.replace(calibrated, own_weight=float(weight)) for weight in _WEIGHTS]
    best = min(candidates, key=lambda c: loss(c.predictions(own_NC, peer_NC), targets))
    own_weight = drawn_to_half(best.own_weight, len(targets) if count is None else count, prior_samples)
    return dataclasses.replace(calibrated, own_weight=own_weight)


def drawn_to_half(own_weight: float, count: float, prior_samples: int) -> float:
    """As if so many samples beside count had no preference."""
    return (count * own_weight + prior_samples * 0.5) / (count + prior_samples)


def calibration(
    own_NC: torch.Tensor, peer_NC: torch.Tensor, targets: torch.Tensor, loss: OutputLoss = F.cross_entropy
) -> dict[str, Any]:
    """The fields of Combined, from LEAST_FOR_FIT samples of known label or more."""
    own, peer = (_temperature(outputs_NC, targets, loss) for outputs_NC in (own_NC, peer_NC))
    return {"own_temperature": own, "peer_temperature": peer, "num_known": len(targets)}


def _temperature(outputs_NC: torch.Tensor, targets: torch.Tensor, loss: OutputLoss) -> float:
    losses = torch.stack([loss(outputs_NC / t, targets) for t in _TEMPERATURES])
    return float(_TEMPERATURES[losses.argmin()])


def cross_fitted(own_NC: torch.Tensor, peer_NC: torch.Tensor, targets: torch.Tensor, rule: Rule = fit) -> torch.Tensor:
    """Combined predictions (N, C), each by a fit on the other folds: no sample is judged by a fit on itself."""
    fold_N = torch.arange(len(targets)) % _FOLDS
    result_NC = torch.empty_like(own_NC)
    for fold in range(_FOLDS):
        rest, these = fold_N != fold, fold_N == fold
        combined = rule(own_NC[rest], peer_NC[rest], targets[rest])
        result_NC[these] = combined.predictions(own_NC[these], peer_NC[these])
    return result_NC


def log_probabilities(probabilities_NC: torch.Tensor) -> torch.Tensor:
    return probabilities_NC.clamp_min(1e-12).log()
