"""Keys of one solve, or of one attempt at answers: fresh ones each time, so that no mask serves twice.

1. Each party sends 32 random bytes, in one round.
2. Both derive from these what both must know: the stream of the roundings, and the keys of the public polynomials.
3. Whatever a party alone knows is of the operating system's randomness.

With randomness=seeded_insecure, in simulations alone, all but the identity follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.mpc.keys import KEY_BYTES, agreed_key, fresh_entropy, insecure_key
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import PARTY_NAMES


@dataclass(frozen=True)
class HeadKeys:
    """purpose: of all of them, "solve" or "answers". entropy: of party a and party b."""

    session: Session
    purpose: str
    entropy: tuple[bytes, bytes]

    @property
    def identity(self) -> str:
        """Of this use, in hexadecimal: both parties know it, and no other use has it."""
        return agreed_key(self.entropy, f"joint head, identity of the {self.purpose}").hex()

    def common(self, use: str) -> bytes:
        """32 bytes that both parties know."""
        return self.session.common_key(self.entropy, f"joint head, {self.purpose}: {use}")

    def local(self, use: str) -> Stream:
        """One that nobody else knows; another one each time."""
        return local_stream(self.session, f"{self.purpose}: {use}")


def local_stream(session: Session, use: str) -> Stream:
    """One that nobody else knows; another one each time."""
    if session.randomness == "seeded_insecure":
        name = PARTY_NAMES[session.rank]
        return Stream(insecure_key(session.seed, f"joint head, {use}, local to party {name}"))
    return Stream(fresh_entropy())


def agree_on_keys(session: Session, purpose: str) -> HeadKeys:
    """One round of 32 bytes each way.

    Raises:
        PeerError, ProtocolError: see Channel.transfer.
    """
    own = fresh_entropy()
    with session.meter.phase("keys"):
        (received,) = session.channel.swap([torch.frombuffer(bytearray(own), dtype=torch.uint8)])
    theirs = received.numpy().tobytes()
    assert len(theirs) == KEY_BYTES
    return HeadKeys(session, purpose, (own, theirs) if session.rank == 0 else (theirs, own))
