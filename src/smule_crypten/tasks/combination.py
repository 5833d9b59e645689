"""Two networks' answers to the same images as one prediction, weighted by answers on samples of known label.

p = w softmax(own / t_own) + (1 - w) softmax(peer / t_peer): each network is calibrated first (C. Guo, G. Pleiss,
Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017), so one that knows nothing of the own data
becomes flat and changes little. Then w is the weight under which known labels are most likely, drawn towards 1/2 as if
prior_samples more had no preference.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from smule_crypten.training.evaluate import accuracy

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
    def probabilities(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> torch.Tensor:
        """(N, C) from the logits of both networks."""

    @abstractmethod
    def as_plain(self) -> dict[str, Any]:
        """own_weight, own_temperature, peer_temperature, num_known, own_weight_by_class where there is one."""


@dataclass(frozen=True, kw_only=True)
class Combination(Combined):
    """own_weight is w, 1/2 without a fit."""

    own_weight: float = 0.5

    def probabilities(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> torch.Tensor:
        own = (own_NC / self.own_temperature).softmax(1)
        peer = (peer_NC / self.peer_temperature).softmax(1)
        return self.own_weight * own + (1 - self.own_weight) * peer

    def as_plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


Rule = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Combined]
"""From the own and the peer's logits (N, C) on samples with labels (N,)."""


@dataclass(frozen=True, kw_only=True)
class Accuracies:
    """On samples of known label, 0 to 1. combined is cross-validated: no sample is judged by a fit on itself."""

    num_known: int
    own: float
    peer: float
    combined: float


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
    calibrated = Combination(**calibration(own_NC, peer_NC, labels_N))
    weight_N = 1 / torch.bincount(labels_N)[labels_N] if balanced else torch.ones(len(labels_N))
    candidates = [dataclasses.replace(calibrated, own_weight=float(weight)) for weight in _WEIGHTS]
    best = min(candidates, key=lambda c: _weighted_loss(c.probabilities(own_NC, peer_NC), labels_N, weight_N))
    # As many samples of equal weight would say as much.
    count = float(weight_N.sum() ** 2 / weight_N.square().sum())
    own_weight = (count * best.own_weight + prior_samples * 0.5) / (count + prior_samples)
    return dataclasses.replace(calibrated, own_weight=own_weight)


def calibration(own_NC: torch.Tensor, peer_NC: torch.Tensor, labels_N: torch.Tensor) -> dict[str, Any]:
    """The fields of Combined, from LEAST_FOR_FIT labels or more."""
    own, peer = (_temperature(logits_NC, labels_N) for logits_NC in (own_NC, peer_NC))
    return {"own_temperature": own, "peer_temperature": peer, "num_known": len(labels_N)}


def _temperature(logits_NC: torch.Tensor, labels_N: torch.Tensor) -> float:
    losses = torch.stack([F.cross_entropy(logits_NC / t, labels_N) for t in _TEMPERATURES])
    return float(_TEMPERATURES[losses.argmin()])


def _weighted_loss(probabilities_NC: torch.Tensor, labels_N: torch.Tensor, weight_N: torch.Tensor) -> float:
    return float(weight_N @ F.nll_loss(log_probabilities(probabilities_NC), labels_N, reduction="none"))


def accuracies(
    own_NC: torch.Tensor, peer_NC: torch.Tensor, labels_N: torch.Tensor, rule: Rule = fit
) -> Accuracies | None:
    """How often each is right, and both together; None without samples."""
    if len(labels_N) == 0:
        return None
    return Accuracies(
        num_known=len(labels_N),
        own=accuracy(own_NC, labels_N),
        peer=accuracy(peer_NC, labels_N),
        combined=accuracy(cross_fitted(own_NC, peer_NC, labels_N, rule), labels_N),
    )


def cross_fitted(own_NC: torch.Tensor, peer_NC: torch.Tensor, labels_N: torch.Tensor, rule: Rule = fit) -> torch.Tensor:
    """Combined probabilities (N, C), each by a fit on the other folds."""
    fold_N = torch.arange(len(labels_N)) % _FOLDS
    result_NC = torch.empty_like(own_NC)
    for fold in range(_FOLDS):
        rest, these = fold_N != fold, fold_N == fold
        combined = rule(own_NC[rest], peer_NC[rest], labels_N[rest])
        result_NC[these] = combined.probabilities(own_NC[these], peer_NC[these])
    return result_NC


def log_probabilities(probabilities_NC: torch.Tensor) -> torch.Tensor:
    return probabilities_NC.clamp_min(1e-12).log()
