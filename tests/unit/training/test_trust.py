from __future__ import annotations

import pytest
import torch

from smule_crypten.data.samples import UNKNOWN
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import SoftLabels

IDS = torch.tensor([5, 1, 9, 3])
LABELS = torch.tensor([0, 1, UNKNOWN, 1])


class Answers:
    """Knows the answer "class a" with a margin of 4 for each sample id."""

    def __init__(self, classes: dict[int, int]) -> None:
        self._classes = classes

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        positions = [i for i, key in enumerate(sample_ids.tolist()) if key in self._classes]
        if not positions:
            return None
        logits = torch.stack([4.0 * torch.eye(2)[self._classes[int(sample_ids[i])]] for i in positions])
        return SoftLabels(
            positions=torch.tensor(positions), logits_NC=logits, model_step=torch.zeros(len(positions)).long()
        )


def test_none_weighs_all_the_same() -> None:
    """Whatever the peer got wrong."""
    source = TrustedSource(Answers({5: 1, 1: 1, 9: 0, 3: 0}), "none", IDS, LABELS)
    source.refresh()
    soft = source.lookup(IDS)
    assert soft is not None
    assert soft.weights().tolist() == [1.0, 1.0, 1.0, 1.0]
    assert source.accuracy == pytest.approx(1 / 3)


def test_the_look_ahead_scales_down_and_up_again() -> None:
    """Halved when the term harms, up by half when it helps, never above the start; a saved scale is taken up."""
    source = TrustedSource(Answers({5: 0, 1: 1, 3: 1}), "adaptive", IDS, LABELS)
    assert source.is_adaptive
    for helps, expected in ((False, 0.5), (False, 0.25), (True, 0.375), (True, 0.5625), (True, 0.84375), (True, 1.0)):
        source.look_ahead(helps)
        assert source.scale == expected
    source.look_ahead(False)
    other = TrustedSource(Answers({5: 0, 1: 1, 3: 1}), "adaptive", IDS, LABELS)
    other.load_state_dict(source.state_dict())
    assert (other.scale, other.mean_weight) == (0.5, 0.5)
