"""A secure session: the connection to the other party, and the only owner of CrypTen's global state.

CrypTen keeps its communicator, its generators and its configuration in module globals. A session sets them on entry
and restores them on exit, so two sessions cannot mix and nothing leaks into the rest of a program.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from smule_crypten.config import Randomness
from smule_crypten.errors import ConfigError, PeerTimeoutError
from smule_crypten.mpc.channel import Channel, GlooChannel, peer_error
from smule_crypten.mpc.communicator import TwoPartyCommunicator
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.meter import CostMeter
from smule_crypten.mpc.streams import KEY_BYTES, Stream, StreamSet, derive_insecure_key, fresh_key
from smule_crypten.types import PARTY_NAMES

ENVIRONMENT_KEYS = ("WORLD_SIZE", "RANK", "RENDEZVOUS")


@dataclass(frozen=True, kw_only=True)
class Session:
    """An open session. rank 0 is party a, rank 1 is party b."""

    channel: Channel

    @property
    def rank(self) -> int:
        return self.channel.rank

    @property
    def peer(self) -> int:
        return 1 - self.channel.rank

    @property
    def meter(self) -> CostMeter:
        return self.channel.meter


@contextmanager
def open_session(
    *,
    precision_bits: int,
    deadline_seconds: float,
    randomness: Randomness,
    seed: int,
    wrap_channel: Callable[[Channel], Channel] = lambda channel: channel,
) -> Iterator[Session]:
    """Connect to the other party as WORLD_SIZE, RANK and RENDEZVOUS say, and set CrypTen up.

    CrypTen's own launcher has connected already; then its process group is used. One round of 32 bytes each way
    agrees on the stream keys.

    Args:
        precision_bits: fractional bits of fixed point.
        deadline_seconds: longest wait for the other party.
        randomness: "fresh" keys, or "seeded_insecure" keys that follow from seed.
        wrap_channel: puts an observer between the session and the link, for tests.

    Raises:
        ConfigError: the environment does not describe a party of two.
        PeerTimeoutError, PeerDisconnectedError: the other party did not come, or left.
    """
    with ExitStack() as stack:
        stack.enter_context(_process_group(deadline_seconds))
        channel = wrap_channel(GlooChannel(CostMeter(), deadline_seconds))
        if dist.get_world_size() != 2:
            raise ConfigError(f"WORLD_SIZE is {dist.get_world_size()}; SMuLe runs between 2 parties")
        streams = _agree_on_streams(channel, randomness, seed)
        stack.enter_context(_crypten_globals(channel, precision_bits))
        stack.enter_context(streams.installed())
        yield Session(channel=channel)


def rank_from_environment() -> int:
    """RANK, checked together with the other variables that name a party.

    Raises:
        ConfigError: a variable is missing or has no usable value.
    """
    missing = [key for key in ENVIRONMENT_KEYS if key not in os.environ]
    if missing:
        raise ConfigError(
            f"environment variable {', '.join(missing)} is not set; set WORLD_SIZE=2, RANK and RENDEZVOUS"
        )
    rank, world_size = os.environ["RANK"], os.environ["WORLD_SIZE"]
    if world_size != "2" or rank not in ("0", "1"):
        raise ConfigError(f"RANK={rank} WORLD_SIZE={world_size}: SMuLe runs between 2 parties, RANK 0 and 1")
    return int(rank)


@contextmanager
def _process_group(deadline_seconds: float) -> Iterator[None]:
    if dist.is_initialized():
        yield
        return
    rank = rank_from_environment()
    rendezvous = os.environ["RENDEZVOUS"]
    if not rendezvous.startswith(("tcp://", "file://")):
        raise ConfigError(f"RENDEZVOUS={rendezvous} is neither tcp://host:port nor file:///path")
    _keep_gloo_on_loopback()
    try:
        dist.init_process_group(
            "gloo", init_method=rendezvous, world_size=2, rank=rank, timeout=timedelta(seconds=deadline_seconds)
        )
    except (RuntimeError, ValueError) as error:
        peer = f"party {PARTY_NAMES[1 - rank]}"
        mapped = peer_error(error, peer, deadline_seconds)
        if isinstance(mapped, PeerTimeoutError):
            raise PeerTimeoutError(
                f"{peer} did not come to {rendezvous} within {deadline_seconds:g} seconds"
            ) from error
        raise ConfigError(f"cannot meet {peer} at {rendezvous}: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        dist.destroy_process_group()


def _keep_gloo_on_loopback() -> None:
    """Simulation stays on this machine; gloo would otherwise pick the interface of the host name."""
    if Path("/sys/class/net/lo").exists():
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")


def _agree_on_streams(channel: Channel, randomness: Randomness, seed: int) -> StreamSet:
    """Each party keys the stream that it shares as `next`; the other one receives the key as `prev`."""
    own_name, peer_name = PARTY_NAMES[channel.rank], PARTY_NAMES[1 - channel.rank]
    if randomness == "seeded_insecure":
        local = derive_insecure_key(seed, f"local {own_name}")
        next_key = derive_insecure_key(seed, f"next {own_name}")
        prev_key = derive_insecure_key(seed, f"next {peer_name}")
    else:
        local, next_key = fresh_key(), fresh_key()
        with channel.meter.phase("keys"):
            (received,) = channel.swap([torch.frombuffer(bytearray(next_key), dtype=torch.uint8)])
        prev_key = received.numpy().tobytes()
        assert len(prev_key) == KEY_BYTES
    return StreamSet(local=Stream(local), prev=Stream(prev_key), next_=Stream(next_key))


@contextmanager
def _crypten_globals(channel: Channel, precision_bits: int) -> Iterator[None]:
    settings = {
        "encoder.precision_bits": precision_bits,
        "mpc.provider": "TFP",
        "mpc.protocol": "beaver",
        "mpc.active_security": False,
        "debug.debug_mode": False,
        "debug.validation_mode": False,
    }
    communicator = TwoPartyCommunicator(channel)
    saved = crypten.communicator.get
    crypten.communicator.get = lambda: communicator
    try:
        with crypten.config.cfg.temp_override(settings), crypten.no_grad():
            yield
    finally:
        crypten.communicator.get = saved
