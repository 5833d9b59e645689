"""Protocols as generators that perform no input or output: who drives them brings the wire and chooses when they work.

A script yields what it does next, and ends with its result. A caller can so run several scripts in turn, in both
directions, and put their messages on the wire as it likes.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from smule_crypten.oblivious.blocks import Bytes

Result = TypeVar("Result")


@dataclass(frozen=True)
class Send:
    """A message for the other party; what is for the cost table."""

    what: str
    data: Bytes


@dataclass(frozen=True)
class Want:
    """Bytes that the script waits for: exactly what the other script's next `Send` holds."""

    what: str
    num_bytes: int


@dataclass(frozen=True)
class Pause:
    """Some milliseconds of work are done and more are to come: the caller may do something else first."""


Script = Generator[Send | Want | Pause, Bytes | None, Result]
"""Is sent uint8 (num_bytes,) for every Want, and None for everything else."""


def received(data: Bytes | None, want: Want) -> Bytes:
    """What the caller sent in for a Want, which a mistake of the caller alone can make anything else."""
    if data is None or len(data) != want.num_bytes:
        got = "nothing" if data is None else f"{len(data)} bytes"
        raise ValueError(f"{want.what}: {want.num_bytes} bytes are due, got {got}")
    return data
