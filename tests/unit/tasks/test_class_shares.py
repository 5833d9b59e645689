from __future__ import annotations

import pytest
import torch

from smule_crypten.tasks.class_shares import by_class
from smule_crypten.tasks.combination import LEAST_FOR_FIT

COUNT = 4 * LEAST_FOR_FIT
LABELS = torch.arange(COUNT) % 2
"""This party's held-out samples are of the first two of four classes."""
COUNTS = torch.tensor([90, 90, 0, 0])
NOTHING = torch.empty(0, 4)


def knowing(classes: list[int], labels_N: torch.Tensor) -> torch.Tensor:
    """Logits of a network that is right about these classes, and undecided between them about all others."""
    seen_C = torch.isin(torch.arange(4), torch.tensor(classes)).float()
    return 4.0 * torch.eye(4)[labels_N] * seen_C + 0.5 * seen_C


def test_a_class_is_left_to_who_has_seen_it() -> None:
    """Two networks that know two classes each know all four together, and no held-out sample has to show it."""
    shares = by_class(NOTHING, NOTHING, LABELS[:0], COUNTS)
    test = torch.arange(40) % 4
    both = shares.predictions(knowing([0, 1], test), knowing([2, 3], test))
    assert (both.argmax(1) == test).all()
    assert shares.own_share_C.tolist() == pytest.approx([2 / 3, 2 / 3, 0, 0])


def test_a_peer_that_knows_nothing_here_counts_little_here() -> None:
    """Calibration flattens it: where it guesses about own classes, the own answer stands."""
    noise = torch.randint(0, 2, (COUNT,), generator=torch.Generator().manual_seed(0))
    own, peer = knowing([0, 1], LABELS), 3 * knowing([0, 1], noise)
    shares = by_class(own, peer, LABELS, COUNTS)
    assert shares.num_known == COUNT
    assert (shares.predictions(own, peer).argmax(1) == LABELS).all()


def test_without_evidence_only_the_counts_speak() -> None:
    """Too few samples for a calibration leave the answers as they are: a geometric mean where classes are equal."""
    shares = by_class(NOTHING, NOTHING, LABELS[:0], torch.tensor([10, 10, 10, 10]))
    own, peer = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(0))
    expected = (own.log_softmax(1) + peer.log_softmax(1)) / 2
    torch.testing.assert_close(shares.predictions(own, peer), expected.softmax(1))
    assert shares.as_plain() == {
        "own_weight": 0.5,
        "own_temperature": 1.0,
        "peer_temperature": 1.0,
        "num_known": 0,
        "own_weight_by_class": [0.5] * 4,
    }
