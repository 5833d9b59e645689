"""What a peer would bring, from both networks' answers on held-out samples of known label."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.tasks.combination import Accuracies, Rule, cross_fitted, fit
from smule_crypten.training.evaluate import accuracy

_RESAMPLINGS = 2000
_SEED = 20240229
_TAIL = 0.025


@dataclass(frozen=True, kw_only=True)
class Worth(Accuracies):
    """What they are worth to the party that asked.

    agreement: how often both answer the same class. gain: combined less own; interval: its 95 %, by bootstrap.
    by_class: samples, own and peer accuracy of each class; None for a class without samples.
    """

    agreement: float
    gain: float
    interval: tuple[float, float]
    by_class: list[tuple[int, float, float] | None]


def worth(own_NC: torch.Tensor, peer_NC: torch.Tensor, labels_N: torch.Tensor, rule: Rule = fit) -> Worth:
    """N >= 1. rule: how both answers become one. The same answers give the same interval."""
    combined_NC = cross_fitted(own_NC, peer_NC, labels_N, rule)
    gain_N = (combined_NC.argmax(1) == labels_N).double() - (own_NC.argmax(1) == labels_N).double()
    return Worth(
        num_known=len(labels_N),
        own=accuracy(own_NC, labels_N),
        peer=accuracy(peer_NC, labels_N),
        combined=accuracy(combined_NC, labels_N),
        agreement=float((own_NC.argmax(1) == peer_NC.argmax(1)).double().mean()),
        gain=float(gain_N.mean()),
        interval=_interval(gain_N),
        by_class=[_of_class(own_NC, peer_NC, labels_N, label) for label in range(own_NC.shape[1])],
    )


def _interval(values_N: torch.Tensor) -> tuple[float, float]:
    """Of the mean, by resampling the samples."""
    generator = torch.Generator().manual_seed(_SEED)
    drawn = torch.randint(len(values_N), (_RESAMPLINGS, len(values_N)), generator=generator)
    low, high = values_N[drawn].mean(1).quantile(torch.tensor([_TAIL, 1 - _TAIL], dtype=torch.double)).tolist()
    return low, high


def _of_class(
    own_NC: torch.Tensor, peer_NC: torch.Tensor, labels_N: torch.Tensor, label: int
) -> tuple[int, float, float] | None:
    chosen = labels_N == label
    if not bool(chosen.any()):
        return None
    return int(chosen.sum()), accuracy(own_NC[chosen], labels_N[chosen]), accuracy(peer_NC[chosen], labels_N[chosen])
