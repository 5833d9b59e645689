from __future__ import annotations

import pytest
import torch

from smule_crypten.training.worth import worth

LABELS = torch.arange(60) % 3


def test_a_peer_that_knows_a_class_more() -> None:
    """The table by class shows it, and the interval lies around the gain."""
    own = torch.eye(4)[torch.where(LABELS == 2, 1, LABELS)] * torch.where(LABELS == 0, 5.0, 1.0).unsqueeze(1)
    found = worth(own, 3.0 * torch.eye(4)[LABELS], LABELS)
    assert found.by_class == [(20, 1.0, 1.0), (20, 1.0, 1.0), (20, 0.0, 1.0), None]
    assert (found.own, found.peer) == (2 / 3, 1.0)
    assert found.agreement == 2 / 3
    assert found.gain == pytest.approx(found.combined - found.own)
    assert 0 < found.interval[0] < found.gain < found.interval[1] <= 1
    assert worth(own, 3.0 * torch.eye(4)[LABELS], LABELS) == found


def test_a_peer_that_says_the_same() -> None:
    """It brings nothing, for certain."""
    logits = torch.eye(3)[(LABELS + (torch.arange(60) < 6)) % 3]
    found = worth(logits, logits, LABELS)
    assert (found.agreement, found.gain, found.interval) == (1.0, 0.0, (0.0, 0.0))


def test_one_sample_is_enough() -> None:
    """Little is known then, but nothing fails."""
    found = worth(torch.eye(3)[:1], torch.eye(3)[1:2], torch.tensor([1]))
    assert (found.num_known, found.own, found.peer) == (1, 0.0, 1.0)
