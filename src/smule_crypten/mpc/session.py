"""A secure session: the links to the other processes, and the only owner of CrypTen's global state.

CrypTen keeps its communicator, its provider, its generators and its configuration in module globals. A session sets
them on entry and restores them on exit, so two sessions cannot mix and nothing of CrypTen leaks into the rest of a
program. What stays are thresholds of the allocator (memory.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from smule_crypten.config.sections import Randomness
from smule_crypten.mpc.communicator import TwoPartyCommunicator
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.keys import KEY_BYTES, agreed_key, fresh_entropy, insecure_key
from smule_crypten.mpc.memory import freed_memory_kept
from smule_crypten.mpc.provider import Dealt, Provider, TrustedFirstParty
from smule_crypten.mpc.streams import StreamSet
from smule_crypten.transport.channel import Channel, LinkChannel
from smule_crypten.transport.ending import give_up
from smule_crypten.transport.link import Link
from smule_crypten.transport.meeting import DEALER, ROLES
from smule_crypten.transport.meter import CostMeter
from smule_crypten.types import PARTY_NAMES


@dataclass(frozen=True, kw_only=True)
class Session:
    """An open session. rank 0 is party a, rank 1 is party b."""

    channel: Channel
    provider: Provider
    links: tuple[Link, ...]
    streams: StreamSet
    randomness: Randomness
    seed: int

    @property
    def rank(self) -> int:
        return self.channel.rank

    @property
    def meter(self) -> CostMeter:
        return self.channel.meter

    def begin_exchange(self, index: int, counts: tuple[int, int]) -> None:
        """Re-key every stream for exchange `index`, in which party a and party b ask about counts samples.

        One round of 32 bytes each way between the parties; the dealer is told, too.
        """
        with self.meter.phase("keys"):
            self._rekey(index)
            self.provider.begin_exchange(index, counts)

    def check(self) -> None:
        """Raise where a link has failed meanwhile, and take in what was dealt for an exchange to come.

        Cheap; call it between the steps of long local work.
        """
        for link in self.links:
            link.check()
        self.provider.read_ahead()

    def _rekey(self, index: int) -> None:
        """Both parties derive all common keys from what both contributed; our zero-sharing key is called `next`."""
        own = fresh_entropy()
        (received,) = self.channel.swap([torch.frombuffer(bytearray(own), dtype=torch.uint8)])
        theirs = received.numpy().tobytes()
        assert len(theirs) == KEY_BYTES
        entropy = (own, theirs) if self.rank == 0 else (theirs, own)
        keys, public = (
            [self.common_key(entropy, f"{use} of party {name}, exchange {index}") for name in PARTY_NAMES]
            for use in ("zero sharing", "public polynomials for the network")
        )
        local = fresh_entropy()
        if self.randomness == "seeded_insecure":
            local = insecure_key(self.seed, f"local to party {PARTY_NAMES[self.rank]}, exchange {index}")
        self.streams.rekey(local=local, next_=keys[self.rank], prev=keys[1 - self.rank], public=(public[0], public[1]))

    def common_key(self, entropy: tuple[bytes, bytes], purpose: str) -> bytes:
        """32 bytes that both parties know, of what party a and party b contributed; repeatable ones of the seed alone.

        Raises:
            ProtocolError: a contribution is not 32 bytes long.
        """
        if self.randomness == "seeded_insecure":
            return insecure_key(self.seed, purpose)
        return agreed_key(entropy, purpose)


@contextmanager
def open_session(
    links: dict[str, Link],
    rank: int,
    *,
    precision_bits: int,
    randomness: Randomness,
    seed: int,
    wrap_channel: Callable[[Channel], Channel] = lambda channel: channel,
) -> Iterator[Session]:
    """Set CrypTen up over links, which the session closes in the end.

    Args:
        links: to the other party and, where one deals, to the dealer; see transport/meeting.py. Without a dealer,
            party a deals the randomness: simulation only.
        precision_bits: fractional bits of fixed point.
        randomness: "fresh" keys, or "seeded_insecure" keys that follow from seed.
        wrap_channel: puts an observer between the session and the link, for tests.
    """
    meter = CostMeter()
    channel = wrap_channel(LinkChannel(links[ROLES[1 - rank]], rank, meter))
    provider: Provider = TrustedFirstParty()
    if DEALER in links:
        provider = Dealt(links[DEALER], rank, meter, randomness, seed)
    streams = StreamSet()
    with ExitStack() as stack:
        stack.enter_context(freed_memory_kept())
        stack.enter_context(closing_links(tuple(links.values())))
        stack.enter_context(_crypten_globals(channel, provider, precision_bits))
        stack.enter_context(streams.installed())
        yield Session(
            channel=channel,
            provider=provider,
            links=tuple(links.values()),
            streams=streams,
            randomness=randomness,
            seed=seed,
        )
        provider.finish()


@contextmanager
def closing_links(links: tuple[Link, ...]) -> Iterator[None]:
    """Close the links in the end; after a failure, say on each that this side gives up, and why if that is public."""
    try:
        yield
    except BaseException as error:
        give_up(links, error)
        raise
    for link in links:
        link.close()


@contextmanager
def _crypten_globals(channel: Channel, provider: Provider, precision_bits: int) -> Iterator[None]:
    settings = {
        "encoder.precision_bits": precision_bits,
        "mpc.protocol": "beaver",
        "mpc.active_security": False,
        "debug.debug_mode": False,
        "debug.validation_mode": False,
    }
    communicator = TwoPartyCommunicator(channel)
    saved = crypten.communicator.get, crypten.mpc.get_default_provider
    crypten.communicator.get = lambda: communicator
    crypten.mpc.get_default_provider = lambda: provider.crypten_provider
    try:
        with crypten.config.cfg.temp_override(settings), crypten.no_grad():
            yield
    finally:
        crypten.communicator.get, crypten.mpc.get_default_provider = saved
