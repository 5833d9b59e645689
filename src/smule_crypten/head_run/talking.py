"""One role of a pair over the session: it speaks, it listens, and every message is a round that somebody waits for.

The first messages of both cross. After that a role that has something to say says it, then listens until it has
something to say again. What is said in one go is one round, whatever the number of tensors in it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from smule_crypten.fixed_point.wire import Post, Role, Want
from smule_crypten.mpc.session import Session


def _nothing(post: Post) -> None:
    pass


def converse(
    session: Session, role: Role, *, crossing_bytes: int, before: Callable[[Post], None] = _nothing
) -> torch.Tensor:
    """Play the role to its end against the one at the peer; its result.

    Args:
        crossing_bytes: what the peer's role sends before it has heard anything.
        before: is told of each message before it leaves.

    Raises:
        PeerError, ProtocolError: see Channel.transfer.
        SmuleError: as the role.
    """
    script, channel = role.run(), session.channel
    still_crossing, is_listening = crossing_bytes, False

    def advance(heard: torch.Tensor | None) -> tuple[Want | None, torch.Tensor]:
        try:
            return (next(script) if heard is None else script.send(heard)), torch.empty(0)
        except StopIteration as end:
            return None, end.value

    wanted, result = advance(None)
    while wanted is not None or role.outbox:
        posts, role.outbox = role.outbox, []
        for post in posts:
            before(post)
        outgoing = [post.data for post in posts]
        if outgoing and (wanted is None or not still_crossing):
            channel.transfer(outgoing, [])
            outgoing, is_listening = [], False
        if wanted is None:
            break
        received = torch.empty(wanted.num_bytes, dtype=torch.uint8)
        channel.transfer(outgoing, [received], continues=is_listening)
        is_listening = True
        if still_crossing:
            still_crossing = max(0, still_crossing - received.nbytes)
            is_listening = still_crossing > 0
        wanted, result = advance(received)
    return result
