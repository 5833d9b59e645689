"""What a peer would bring, from both networks' answers on held-out samples of known label."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.combination import Rule, cross_fitted
from smule_crypten.tasks.task import Task

_RESAMPLINGS = 2000
_SEED = 20240229
_TAIL = 0.025


@dataclass(frozen=True, kw_only=True)
class Judged:
    """On samples of known label. combined is cross-validated: no sample is judged by a fit on itself.

    measure: what own, peer and combined are: accuracy or the share of labels right, 0 to 1, or the mean absolute error
    in the targets' own units.
    """

    num_known: int
    measure: str
    own: float
    peer: float
    combined: float


@dataclass(frozen=True, kw_only=True)
class Worth(Judged):
    """What they are worth to the party that asked.

    agreement: how often both answer the same class, or label; None in regression. gain: by how much combined is better
    than own; interval: its 95 %, by bootstrap. by_class: samples, own and peer of each class, label or target; None for
    a class without samples.
    """

    agreement: float | None
    gain: float
    interval: tuple[float, float]
    by_class: list[tuple[int, float, float] | None]


def judged(
    own_NC: torch.Tensor, peer_NC: torch.Tensor, targets: torch.Tensor, rule: Rule, task: Task = CLASSIFICATION
) -> Judged | None:
    """How good each is, and both together; None without samples."""
    if len(targets) == 0:
        return None
    merits = _merits(own_NC, peer_NC, targets, rule, task)
    own, peer, combined = (_measured(merit_NK) for merit_NK in merits)
    return Judged(num_known=len(targets), measure=task.measure, own=own, peer=peer, combined=combined)


def worth(
    own_NC: torch.Tensor,
    peer_NC: torch.Tensor,
    targets: torch.Tensor,
    rule: Rule | None = None,
    task: Task = CLASSIFICATION,
) -> Worth:
    """N >= 1. rule: how both answers become one; None for the task's. The same answers give the same interval."""
    merits = _merits(own_NC, peer_NC, targets, rule or task.fit, task)
    own_NK, peer_NK, combined_NK = merits
    gain_N = combined_NK.mean(1) - own_NK.mean(1)
    own, peer, combined = (_measured(merit_NK) for merit_NK in merits)
    return Worth(
        num_known=len(targets),
        measure=task.measure,
        own=own,
        peer=peer,
        combined=combined,
        agreement=task.agreement(own_NC, peer_NC),
        gain=float(gain_N.mean()),
        interval=_interval(gain_N),
        by_class=_by_output(own_NK, peer_NK, targets, own_NC.shape[1]),
    )


def _merits(
    own_NC: torch.Tensor, peer_NC: torch.Tensor, targets: torch.Tensor, rule: Rule, task: Task
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    combined_NC = cross_fitted(own_NC, peer_NC, targets, rule)
    own_NK, peer_NK = (task.merit(task.predictions(outputs_NC), targets) for outputs_NC in (own_NC, peer_NC))
    return own_NK, peer_NK, task.merit(combined_NC, targets)


def _measured(merit_NK: torch.Tensor) -> float:
    """An error, as people read it, is not negative."""
    return abs(float(merit_NK.mean()))


def _interval(values_N: torch.Tensor) -> tuple[float, float]:
    """Of the mean, by resampling the samples."""
    generator = torch.Generator().manual_seed(_SEED)
    drawn = torch.randint(len(values_N), (_RESAMPLINGS, len(values_N)), generator=generator)
    low, high = values_N[drawn].mean(1).quantile(torch.tensor([_TAIL, 1 - _TAIL], dtype=torch.double)).tolist()
    return low, high


def _by_output(
    own_NK: torch.Tensor, peer_NK: torch.Tensor, targets: torch.Tensor, num_outputs: int
) -> list[tuple[int, float, float] | None]:
    """Samples of a class; of a label or target all, since each sample says something of each."""
    if targets.dim() == 2:
        columns = zip(own_NK.T, peer_NK.T, strict=True)
        return [(len(targets), _measured(own_N), _measured(peer_N)) for own_N, peer_N in columns]
    found: list[tuple[int, float, float] | None] = []
    for label in range(num_outputs):
        chosen = targets == label
        count = int(chosen.sum())
        found.append((count, float(own_NK[chosen].mean()), float(peer_NK[chosen].mean())) if count else None)
    return found
