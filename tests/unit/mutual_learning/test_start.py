"""From which exchange two parties go on, and when they do not."""

from __future__ import annotations

from typing import Any

import pytest

from smule_crypten.errors import HandshakeError, RestartError
from smule_crypten.mutual_learning.handshake import agree_on_start


def start(own: tuple[list[int], int], peer: tuple[list[int], int]) -> list[Any]:
    """What both sides come to, or the error that both raise; each is (completed, oldest)."""
    results: list[Any] = []
    for mine, theirs in ((own, peer), (peer, own)):
        try:
            results.append(
                agree_on_start(*mine, lambda _, theirs=theirs: {"completed": theirs[0], "oldest": theirs[1]})
            )
        except RestartError as error:
            results.append(str(error))
    return results


@pytest.mark.parametrize(
    ("own", "peer", "expected"),
    [
        (([], 0), ([], 0), 0),
        (([0], 0), ([], 0), 0),
        (([0, 1], 0), ([0], 0), 0),
        (([0, 1], 0), ([0, 1], 0), 1),
        (([4, 5], 4), ([4, 5], 4), 5),
        (([4, 5], 4), ([3, 4], 3), 4),
        (([4, 5], 0), ([], 0), 0),
    ],
)
def test_the_last_common_state(own: tuple[list[int], int], peer: tuple[list[int], int], expected: int) -> None:
    """One exchange apart is what an interruption leaves; more only where the one who is ahead accepts it."""
    assert start(own, peer) == [expected, expected]


@pytest.mark.parametrize("peer", [([], 0), ([2, 3], 2), ([0], 0)])
def test_a_peer_that_is_further_behind(peer: tuple[list[int], int]) -> None:
    """It would have this side answer all again: refused at both with who has completed what, and where to read on."""
    behind = max(peer[0], default=0)
    here, there = start(([4, 5], 4), peer)
    assert f"this side has completed 5 exchange(s), the other one {behind}, and this side does not go back to 0" in here
    assert f"this side has completed {behind} exchange(s), the other one 5, and " in there
    assert "launch.accept_restart" in here
    assert RestartError("").exit_code == 12


@pytest.mark.parametrize(
    "message", [None, {}, {"completed": [1]}, {"completed": [1], "oldest": "0"}, {"completed": ["1"], "oldest": 0}]
)
def test_malformed_starts(message: object) -> None:
    """Another version, or another command."""
    with pytest.raises(HandshakeError, match="start the same command"):
        agree_on_start([1], 0, lambda _: message)
