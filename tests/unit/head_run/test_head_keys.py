"""Streams of a joint head that a party alone knows: fresh ones each time, or repeatable ones in simulations alone."""

from __future__ import annotations

import queue
from typing import Any, cast

import torch
from head_parties import FaultyChannel

from smule_crypten.config.sections import Randomness
from smule_crypten.head_run.keys import local_stream
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.streams import StreamSet


def drawn(rank: int, randomness: Randomness, use: str = "noise on weights") -> list[int]:
    channel = FaultyChannel(rank, queue.Queue(), queue.Queue(), None)
    session = Session(
        channel=channel, provider=cast(Any, None), links=(), streams=StreamSet(), randomness=randomness, seed=3
    )
    numbers: torch.Tensor = local_stream(session, use).ring_elements((4,))
    return numbers.tolist()


def test_fresh_streams_are_others_each_time() -> None:
    """What is drawn under the same name is not repeated."""
    assert drawn(0, "fresh") != drawn(0, "fresh")


def test_seeded_streams_repeat_by_party_and_use() -> None:
    """Revealed weights of a simulation are the same in its repeat; no two parties or uses have the same noise."""
    assert drawn(0, "seeded_insecure") == drawn(0, "seeded_insecure")
    assert drawn(0, "seeded_insecure") != drawn(1, "seeded_insecure")
    assert drawn(0, "seeded_insecure") != drawn(0, "seeded_insecure", "masks")
