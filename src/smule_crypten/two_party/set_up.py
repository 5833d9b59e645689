"""How the two instances of silent transfer begin: each party is the sender of one of them.

1. Both contribute 32 bytes, which cross. The public seed of each instance is HKDF of both, with a purpose of its own.
2. Both instances run their set-up at once (oblivious/silent.py): base transfers; extensions; the first iterations.

All of a party's randomness is from the operating system, in a repeatable simulation, too: no result depends on it.
"""

from __future__ import annotations

import os
from typing import Any, Generic, TypeVar

import torch

from smule_crypten.mpc.keys import KEY_BYTES, agreed_key, fresh_entropy
from smule_crypten.mpc.session import Session
from smule_crypten.oblivious import base, extension
from smule_crypten.oblivious.parameters import Plan
from smule_crypten.oblivious.script import Script, Send, Want
from smule_crypten.oblivious.silent import SilentReceiver, SilentSender, open_receiver, open_sender
from smule_crypten.types import PARTY_NAMES, Cost

Result = TypeVar("Result")


def open_instances(session: Session, plan: Plan) -> tuple[SilentSender, SilentReceiver]:
    """This party's end of the instance where it is the sender, and of the other one.

    Raises:
        PeerError, ProtocolError: see Channel.transfer; the peer sent what is no point of the group.
    """
    own = fresh_entropy()
    (received,) = session.channel.swap([torch.frombuffer(bytearray(own), dtype=torch.uint8)])
    theirs, rank = received.numpy().tobytes(), session.rank
    entropy = (own, theirs) if rank == 0 else (theirs, own)
    seeds = [agreed_key(entropy, f"silent transfer, party {name} sends") for name in PARTY_NAMES]
    # No stock: transfers are hashed as they are made.
    sender = _Side(open_sender(plan, seeds[rank], 0, os.urandom, sender_rank=rank))
    receiver = _Side(open_receiver(plan, seeds[1 - rank], 0, os.urandom, sender_rank=1 - rank))
    _cross(session, sender, receiver)
    return sender.result, receiver.result


def set_up_cost(plan: Plan) -> Cost:
    """What `open_instances` costs each party: rounds, and bytes each way."""
    as_sender = base.receiver_bytes(extension.NUM_COLUMNS) + plan.start.message_bytes + plan.main.message_bytes
    as_receiver = base.sender_bytes() + extension.message_bytes(plan.start.seeds)
    num_bytes = KEY_BYTES + as_sender + as_receiver
    return Cost(rounds=4, bytes_sent=num_bytes, bytes_received=num_bytes)


class _Side(Generic[Result]):
    """One script of this party. said: what it has to send; wanted: the bytes that it waits for."""

    def __init__(self, script: Script[Result]) -> None:
        self._script = script
        self.said: list[torch.Tensor] = []
        self.wanted = 0
        self.result: Result
        self._advance(None)

    def hear(self, data: torch.Tensor) -> None:
        self._advance(data.numpy())

    def take_said(self) -> list[torch.Tensor]:
        said, self.said = self.said, []
        return said

    def _advance(self, answer: Any) -> None:
        try:
            while not isinstance(step := self._script.send(answer), Want):
                answer = None
                if isinstance(step, Send):
                    self.said.append(torch.from_numpy(step.data.copy()))  # it may be read-only
            self.wanted = step.num_bytes
        except StopIteration as end:
            self.result = end.value


def _cross(session: Session, sender: _Side[SilentSender], receiver: _Side[SilentReceiver]) -> None:
    """Play both to their ends, against the peer's two, which have the same shape.

    A round: each party sends what its sender has to say, then what its receiver has. As many messages as this party's
    sender says, the peer's says to this party's receiver, and the other way round.
    """
    while sender.said or receiver.said:
        for_receiver, for_sender = sender.take_said(), receiver.take_said()
        outgoing = for_receiver + for_sender
        for number, listener in enumerate([receiver] * len(for_receiver) + [sender] * len(for_sender)):
            heard = torch.empty(listener.wanted, dtype=torch.uint8)
            session.channel.transfer(outgoing if number == 0 else [], [heard], continues=number > 0)
            listener.hear(heard)
