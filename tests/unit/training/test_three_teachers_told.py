"""What a party tells of its three teachers: bounded, rounded, and nothing of too few samples."""

from __future__ import annotations

import torch

from smule_crypten.tasks.by_name import as_task
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.three_teachers import LARGEST_LOSS, NUM_LOSSES, WEIGHTS, ThreeTeachers
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import SoftLabels

CLASSES = 3


class _Peer:
    def __init__(self, logits_NC: torch.Tensor) -> None:
        self._logits_NC = logits_NC

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels:
        return SoftLabels(
            positions=torch.arange(len(sample_ids)),
            logits_NC=self._logits_NC[sample_ids],
            model_step=torch.ones(len(sample_ids), dtype=torch.int64),
        )


def told(own_NC: torch.Tensor, peer_NC: torch.Tensor, head_NC: torch.Tensor, targets: torch.Tensor) -> list[float]:
    ids = torch.arange(len(targets))
    source = TrustedSource(_Peer(peer_NC), "none", ids, targets)
    task = as_task("classification")
    return ThreeTeachers(source, OwnAnswers(ids, own_NC), OwnAnswers(ids, head_NC), ids, targets, task=task).losses()


def test_losses_are_means_of_bounded_ones() -> None:
    """Against the definition, sample by sample; none from fewer than fifty samples."""
    generator = torch.Generator().manual_seed(1)
    own_NC, peer_NC, head_NC = (5 * torch.randn(60, CLASSES, generator=generator) for _ in range(3))
    targets = torch.randint(0, CLASSES, (60,), generator=generator)
    losses = told(own_NC, peer_NC, head_NC, targets)
    for found, (own, peer, head) in zip(losses, WEIGHTS.tolist(), strict=True):
        each = [
            min(LARGEST_LOSS, float(z_C.logsumexp(0) - z_C[target]))
            for z_C, target in zip(own * own_NC + peer * peer_NC + head * head_NC, targets, strict=True)
        ]
        assert abs(found - sum(each) / 60) < 0.0051
        assert round(found * 100, 6) == round(found * 100)
    assert told(own_NC, peer_NC, head_NC, targets[:49]) == []


def test_a_teacher_that_overflows_is_the_worst() -> None:
    """Its numbers, which are none, are neither told nor end the run."""
    good_NC = torch.zeros(50, CLASSES)
    broken_NC = torch.full((50, CLASSES), float("nan"))
    losses = told(broken_NC, good_NC, good_NC, torch.zeros(50, dtype=torch.int64))
    assert len(losses) == NUM_LOSSES
    assert all(loss == LARGEST_LOSS for loss, own in zip(losses, WEIGHTS[:, 0].tolist(), strict=True) if own)
