"""Turns: which party speaks when, what its message is made of, and how many bytes that takes, before anything runs.

A turn is one message. A party says parts of it one after another; they leave together as soon as it waits for the other
party. Lengths and order are public and fixed: a message of another length than its turn's is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.script import Script, Send, Want, received


@dataclass(frozen=True)
class Part:
    what: str
    num_bytes: int


@dataclass(frozen=True)
class Turn:
    """A message. by_model_owner: M speaks, else D."""

    by_model_owner: bool
    parts: tuple[Part, ...]

    @property
    def num_bytes(self) -> int:
        return sum(part.num_bytes for part in self.parts)

    @property
    def what(self) -> str:
        return ", ".join(part.what for part in self.parts)


class Conversation:
    """One party's end of a sequence of turns."""

    def __init__(self, turns: Sequence[Turn], is_model_owner: bool) -> None:
        self._mine = [turn for turn in turns if turn.by_model_owner == is_model_owner]
        self._theirs = [turn for turn in turns if turn.by_model_owner != is_model_owner]
        self._unsaid: list[Bytes] = []
        self._unheard: Bytes = np.zeros(0, dtype=np.uint8)

    def say(self, data: Bytes) -> None:
        self._unsaid.append(data)

    def hear(self, num_bytes: int) -> Script[Bytes]:
        """The next bytes of what the other party says."""
        if not len(self._unheard):
            yield from self.flush()
            turn = self._theirs.pop(0)
            want = Want(turn.what, turn.num_bytes)
            self._unheard = received((yield want), want)
        data, self._unheard = np.split(self._unheard, [num_bytes])
        return data

    def flush(self) -> Script[None]:
        """Send what has been said."""
        if not self._unsaid:
            return
        turn, data = self._mine.pop(0), np.concatenate(self._unsaid)
        self._unsaid = []
        if len(data) != turn.num_bytes:
            raise ValueError(f"{turn.what}: the turn has {turn.num_bytes} bytes, got {len(data)}")
        yield Send(turn.what, data)
