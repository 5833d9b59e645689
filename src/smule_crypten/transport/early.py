"""Tensors that came before they were asked for, held within what the receiver has set aside for them.

The other side may announce any length. Memory is made piece by piece, so that it costs as much as was really sent and
never more than the receiver's limit; what is beyond waits in the socket until the tensor is asked for.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from smule_crypten.transport.frames import FrameAssembler, Kind

_PIECE_BYTES = 1 << 20
MOST_EARLY = 1 << 12
"""Tensors that are held: each costs some memory beside its bytes, so that a limit of bytes alone bounds nothing."""


@dataclass
class EarlyTensor:
    """length: as announced. pieces: what was read of it, in order; the last one may still be being filled."""

    length: int
    pieces: list[bytearray] = field(default_factory=list)

    @property
    def held(self) -> int:
        return sum(map(len, self.pieces))

    def copy_into(self, buffer: memoryview) -> int:
        """Into buffer what was read; returns its bytes."""
        start = 0
        for piece in self.pieces:
            buffer[start : start + len(piece)] = piece
            start += len(piece)
        return start


class EarlyTensors:
    """Not for two threads at once: link.py holds its lock around take."""

    def __init__(self, incoming: FrameAssembler) -> None:
        self._incoming = incoming
        self._tensors: deque[EarlyTensor] = deque()

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def held(self) -> int:
        """Bytes of memory."""
        return sum(tensor.held for tensor in self._tensors)

    def take(self, limit: int) -> bool:
        """Take the oldest tensor that has come, or make room for the next piece of one; says whether anything was done.

        While less than limit bytes and MOST_EARLY tensors are held.
        """
        left = limit - self.held
        if left <= 0 or self._incoming.is_placed:
            return False
        if not self._tensors or self._tensors[-1].held == self._tensors[-1].length:
            frames = self._incoming.frames
            if not frames or frames[0].kind is not Kind.TENSOR or len(self._tensors) >= MOST_EARLY:
                return False
            frame = frames.popleft()
            self._tensors.append(EarlyTensor(frame.length))
            if frame.payload is not None:
                self._tensors[-1].pieces.append(frame.payload)
                return True
        newest = self._tensors[-1]
        piece = bytearray(min(_PIECE_BYTES, newest.length - newest.held, left))
        newest.pieces.append(piece)
        self._incoming.place(memoryview(piece))
        return True

    @property
    def is_complete(self) -> bool:
        """Whether there is an oldest tensor, all of it read."""
        if len(self._tensors) == 1:
            return self._tensors[0].held == self.next_length and not self._incoming.is_placed
        return len(self._tensors) > 1

    @property
    def next_length(self) -> int:
        return self._tensors[0].length

    def pop(self) -> EarlyTensor:
        """The oldest one. If it was the only one, its last piece is complete when nothing is placed any more."""
        return self._tensors.popleft()
