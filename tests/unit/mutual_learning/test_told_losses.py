"""Losses of three teachers on the announcement: who may say what, and that nothing else comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smule_crypten.errors import ProtocolError
from smule_crypten.mutual_learning.announcement import Announcement, checked_announcement
from smule_crypten.training.three_teachers import NUM_LOSSES

PLAIN = Announcement(num_samples=3, model_step=5, logit_bound=9.0, input_bound=2.0, logit_noise=0.01)
LOSSES = tuple(0.25 * number for number in range(NUM_LOSSES))


def heard(losses: Any, *, has_losses: bool = True) -> Announcement:
    """What is said crosses as JSON."""
    message = {"query_id": 1, **PLAIN.as_plain(), "losses": losses}
    return checked_announcement(
        json.loads(json.dumps(message)), query_id=1, peer="b", limit=None, has_losses=has_losses
    )


def test_losses_arrive() -> None:
    """Those that were told, or none where a party cannot tell yet."""
    assert heard(LOSSES).losses == LOSSES
    assert heard([]).losses == ()


def test_without_a_joint_head_nothing_is_said() -> None:
    """The message is what it was before there were joint heads, and one that speaks of losses is refused."""
    said = PLAIN.as_plain()
    assert "losses" not in said
    assert checked_announcement({"query_id": 1, **said}, query_id=1, peer="b", limit=None) == PLAIN
    with pytest.raises(ProtocolError, match="party b tells losses of a joint head, and this party has none"):
        heard(LOSSES, has_losses=False)


@pytest.mark.parametrize(
    ("losses", "line"),
    [
        (None, "announced None of its teachers, none or 15 are due"),
        ("0.1", "of its teachers, none or 15 are due"),
        ([0.1] * 14, "14 losses of its teachers"),
        ([0.1] * 16, "16 losses of its teachers"),
        ([0.1] * 14 + [8.01], "8.01 as a loss of its teachers, which are 0 to 8"),
        ([0.1] * 14 + [-0.01], "-0.01 as a loss"),
        ([0.1] * 14 + [float("nan")], "nan as a loss"),
        ([0.1] * 14 + [float("inf")], "inf as a loss"),
        ([0.1] * 14 + [1], "1 as a loss"),
        ([0.1] * 14 + [True], "True as a loss"),
        ([0.1] * 14 + ["0.1"], "as a loss"),
    ],
)
def test_what_cannot_be_losses_is_refused(losses: Any, line: str) -> None:
    """Another length, not finite, too large, no number: each with a line that says who and what."""
    with pytest.raises(ProtocolError, match=line):
        heard(losses)
