"""What one batch of ReLUs takes of the two instances of silent transfer: pads, made beforehand and compact.

Transfers are hashed as they are taken, for the random choices that they came with, and go; what stays are rows of bits
for digits and gates and integers of the width that a selection or a lift needs. D's real choices turn them afterwards
without hashing (turning.py). At w = 18, t = 6, k = 32: 26 bytes per value at M and 25 at D, for 34 transfers of 16
bytes.

A batch is made in parts of PART values, so that memory in work stays bounded. Both parties take the same numbers of
transfers in the same order: parts in order, and within a part as `_part` says.

    making = ModelOwnerMaking(widths, count, sending, receiving)  # DataOwnerMaking at the other party
    while making.due != NOTHING:  # transfers that the next step takes
        making.step()  # 7 milliseconds at these widths, where as many transfers are `ready`
    material = making.finish()  # ModelOwnerMaterial, once, when nothing is due

Before a step each end must have as many transfers `left` as are due: `due.model_owner` of the instance where M sends,
`due.data_owner` of the other one. Where they are not `ready` the step makes them, some 30 milliseconds more, which
`Silent.step` does in shorter slices before, in a stock of that size. Each party may do something else between steps. A
step that failed ends the making: its parties are at different places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from smule_crypten.comparison.cost import Transfers, relu_cost
from smule_crypten.comparison.digit_pads import ReceiverPads, SenderPads, receiver_pads, sender_pads
from smule_crypten.comparison.once import ServesOnce
from smule_crypten.comparison.tree import GateTriples, prepare_gates
from smule_crypten.comparison.widths import Widths, row_bytes
from smule_crypten.oblivious import one_of_two
from smule_crypten.oblivious.cots import Pads, ReceiverCots, SenderCots

PART = 1 << 13
"""Values of a part; a multiple of 8, so that rows of parts meet at whole bytes."""

NOTHING = Transfers(0, 0)


class SenderSource(Protocol):
    """The sender's end of an instance (silent.py)."""

    def take(self, count: int) -> SenderCots: ...


class ReceiverSource(Protocol):
    def take(self, count: int) -> ReceiverCots: ...


class ModelOwnerPads(NamedTuple):
    """M's of n values. selection: (2, n) of w bits; own_selection: w + t bits; lifts: k - w bits."""

    digits: SenderPads
    gates: GateTriples
    selection: Pads
    own_selection: one_of_two.ReceiverPads
    lifts: tuple[one_of_two.ReceiverPads, ...]


class DataOwnerPads(NamedTuple):
    """D's of n values. selection: w bits; own_selection: (2, n) of w + t bits; lifts: (2, n) of k - w bits."""

    digits: ReceiverPads
    gates: GateTriples
    selection: one_of_two.ReceiverPads
    own_selection: Pads
    lifts: tuple[Pads, ...]


@dataclass(eq=False, repr=False)
class ModelOwnerMaterial(ServesOnce):
    count: int
    pads: ModelOwnerPads


@dataclass(eq=False, repr=False)
class DataOwnerMaterial(ServesOnce):
    count: int
    pads: DataOwnerPads


_P = TypeVar("_P", ModelOwnerPads, DataOwnerPads)
Material = TypeVar("Material", ModelOwnerMaterial, DataOwnerMaterial)


class Making(ABC, Generic[_P, Material]):
    """One batch's material in the making.

    Raises:
        ValueError: count is not positive.
    """

    def __init__(self, widths: Widths, count: int, sending: SenderSource, receiving: ReceiverSource) -> None:
        if count < 1:
            raise ValueError(f"a batch of ReLUs has one value or more, got {count}")
        self._widths = widths
        self._count = count
        self._sending = sending
        self._receiving = receiving
        self._made = 0
        self._pads: _P | None = None
        self._is_over = False

    @property
    def due(self) -> Transfers:
        """What the next step takes of either instance; NOTHING when all is made."""
        part = self._next_part
        return relu_cost(part, self._widths).transfers if part else NOTHING

    def step(self) -> None:
        """Make the next part.

        Raises:
            ValueError: nothing is due, or a step has failed; whatever a source raises.
        """
        part = self._next_part
        if self._is_over or not part:
            raise ValueError("a step of this material failed; start again" if self._is_over else "no part is due")
        self._is_over = True
        pads = self._part(part)
        if self._pads is None:
            self._pads = _room(pads, part, self._count)
        _put(pads, self._pads, self._made, self._count)
        self._is_over = False
        self._made += part

    @property
    def _next_part(self) -> int:
        return min(PART, self._count - self._made)

    def finish(self) -> Material:
        """What has been made, once: pads serve once.

        Raises:
            ValueError: parts are due, or it has been handed over.
        """
        if self._made < self._count or self._pads is None:
            state = "handed over" if self._made == self._count else f"made for {self._made} of {self._count} values"
            raise ValueError(f"material is {state}; finish once, when no part is due")
        pads, self._pads = self._pads, None
        return self._material(self._count, pads)

    @abstractmethod
    def _part(self, count: int) -> _P:
        """In the order of the other party's."""

    @abstractmethod
    def _material(self, count: int, pads: _P) -> Material: ...


class ModelOwnerMaking(Making[ModelOwnerPads, ModelOwnerMaterial]):
    def _part(self, count: int) -> ModelOwnerPads:
        widths, sending, receiving = self._widths, self._sending, self._receiving
        pairs, triple = (sending.take(size * count) for size in (2 * widths.pairs, 3 * widths.has_triple))
        digits = sender_pads(widths, pairs, triple, count)
        gates = prepare_gates(sending.take(widths.gates * count), receiving.take(widths.gates * count), count)
        lifts = (one_of_two.receive_random(receiving.take(count), widths.extension) for _ in range(widths.hints))
        return ModelOwnerPads(
            digits,
            gates,
            lifts=tuple(lifts),
            selection=one_of_two.send_random(sending.take(count), widths.width),
            own_selection=one_of_two.receive_random(receiving.take(count), widths.fine),
        )

    def _material(self, count: int, pads: ModelOwnerPads) -> ModelOwnerMaterial:
        return ModelOwnerMaterial(count, pads)


class DataOwnerMaking(Making[DataOwnerPads, DataOwnerMaterial]):
    def _part(self, count: int) -> DataOwnerPads:
        widths, sending, receiving = self._widths, self._sending, self._receiving
        pairs, triple = (receiving.take(size * count) for size in (2 * widths.pairs, 3 * widths.has_triple))
        digits = receiver_pads(widths, pairs, triple, count)
        gates = prepare_gates(sending.take(widths.gates * count), receiving.take(widths.gates * count), count)
        lifts = (one_of_two.send_random(sending.take(count), widths.extension) for _ in range(widths.hints))
        return DataOwnerPads(
            digits,
            gates,
            lifts=tuple(lifts),
            selection=one_of_two.receive_random(receiving.take(count), widths.width),
            own_selection=one_of_two.send_random(sending.take(count), widths.fine),
        )

    def _material(self, count: int, pads: DataOwnerPads) -> DataOwnerMaterial:
        return DataOwnerMaterial(count, pads)


def model_owner_material(
    widths: Widths, count: int, sending: SenderSource, receiving: ReceiverSource
) -> ModelOwnerMaterial:
    """All steps at once; errors as for these."""
    return _through(ModelOwnerMaking(widths, count, sending, receiving))


def data_owner_material(
    widths: Widths, count: int, sending: SenderSource, receiving: ReceiverSource
) -> DataOwnerMaterial:
    """All steps at once; errors as for these."""
    return _through(DataOwnerMaking(widths, count, sending, receiving))


def _through(making: Making[_P, Material]) -> Material:
    while making.due != NOTHING:
        making.step()
    return making.finish()


def _room(pads: Any, size: int, count: int) -> Any:
    """Empty arrays for pads of `count` values, as these of `size`. The last axis: values, or eight of them a byte."""
    if isinstance(pads, np.ndarray):
        length = count if pads.shape[-1] == size else row_bytes(count)
        return np.empty((*pads.shape[:-1], length), dtype=pads.dtype)
    pieces = [_room(piece, size, count) for piece in pads]
    return tuple(pieces) if type(pads) is tuple else type(pads)(*pieces)


def _put(pads: Any, room: Any, start: int, count: int) -> None:
    """Pads of the values from `start` on into the arrays for `count`."""
    if isinstance(room, np.ndarray):
        place = start if room.shape[-1] == count else start // 8
        room[..., place : place + pads.shape[-1]] = pads
        return
    for piece, space in zip(pads, room, strict=True):
        _put(piece, space, start, count)
