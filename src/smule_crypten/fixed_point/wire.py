"""Both directions of an exchange in step: what one role sends crosses what the other role sends.

A role is a generator: it leaves what it sends in its outbox and yields how many bytes it wants next. In every turn one
of a party's two roles speaks and the other listens; model owners speak first. A turn is one round, whatever the
number of messages in it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import torch

from smule_crypten.mpc.session import Session


@dataclass(frozen=True)
class Want:
    """Bytes that a role waits for; layer is for the cost table."""

    layer: str
    num_bytes: int


@dataclass(frozen=True)
class Post:
    layer: str
    data: torch.Tensor


Script = Generator[Want, torch.Tensor, torch.Tensor]
"""Is sent uint8 (num_bytes,) for every Want; returns the role's result."""


class Role(Protocol):
    outbox: list[Post]

    def run(self) -> Script: ...


class _Player:
    def __init__(self, role: Role) -> None:
        self._role = role
        self._script = role.run()
        self.result = torch.empty(0)
        self.wanted: Want | None = None
        self._advance(None)

    @property
    def is_listening(self) -> bool:
        return self.wanted is not None and not self._role.outbox

    @property
    def is_over(self) -> bool:
        return self.wanted is None and not self._role.outbox

    def take_posts(self) -> list[Post]:
        posts, self._role.outbox = self._role.outbox, []
        return posts

    def hear(self, data: torch.Tensor) -> None:
        self._advance(data)

    def _advance(self, data: torch.Tensor | None) -> None:
        try:
            self.wanted = next(self._script) if data is None else self._script.send(data)
        except StopIteration as end:
            self.wanted, self.result = None, end.value


def play(session: Session, model_owner: Role, data_owner: Role) -> torch.Tensor:
    """Play this party's two roles, one in each direction, against the peer's; returns the data owner's result.

    Raises:
        PeerError, ProtocolError: see Channel.transfer.
    """
    speaker, listener = data = _Player(model_owner), _Player(data_owner)
    while not all(player.is_over for player in data):
        _turn(session, speaker, listener)
        speaker, listener = listener, speaker
    return data[1].result


def _turn(session: Session, speaker: _Player, listener: _Player) -> None:
    meter, posts = session.meter, speaker.take_posts()
    outgoing = [post.data for post in posts]
    for post in posts:
        meter.record_layer(post.layer, bytes_sent=post.data.nbytes)
    is_first = True
    while listener.is_listening:
        assert listener.wanted is not None
        received = torch.empty(listener.wanted.num_bytes, dtype=torch.uint8)
        session.channel.transfer(outgoing, [received], continues=not is_first)
        meter.record_layer(listener.wanted.layer, bytes_received=received.nbytes)
        outgoing, is_first = [], False
        listener.hear(received)
    if outgoing:
        session.channel.transfer(outgoing, [])
