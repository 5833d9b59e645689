"""What one batch of ReLUs takes of the two instances of silent transfer: pads, made beforehand and compact.

Transfers are hashed as they are taken, for the random choices that they came with, and go; what stays are rows of bits
for digits and gates and integers of the width that a selection or a lift needs. D's real choices turn them afterwards
without hashing (turning.py). At w = 18, t = 6, k = 32: 26 bytes a value at M and 25 at D, for 34 transfers of 16 bytes.

A batch is made in parts of PART values, so that memory in work stays bounded. Both parties take the same numbers of
transfers in the same order: parts in order, and within a part as `_part` says.

    making = ModelOwnerMaking(widths, count, sending, receiving)   # DataOwnerMaking at the other party
    while making.due != NOTHING:                                     # transfers that the next step takes
        making.step()                                                # some 20 milliseconds, 40 where they are not ready
    material = making.finish()                                       # ModelOwnerMaterial, once, when nothing is due

Before a step each end must have as many transfers `left` as are due: `due.model_owner` of the instance where M sends,
`due.data_owner` of the other one. Parties may pause between steps wherever each likes. A step that failed ends the
making: its parties are at different places. `model_owner_material` and `data_owner_material` go through at once.
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
from smule_crypten.comparison.widths import Widths
from smule_crypten.oblivious import one_of_two
from smule_crypten.oblivious.cots import Pads, ReceiverCots, SenderCots

PART = 1 << 13
"""Values of a part; a multiple of 8, so that rows of parts join at whole bytes."""

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


_Pads = TypeVar("_Pads", ModelOwnerPads, DataOwnerPads)


class _Making(ABC, Generic[_Pads]):
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
        self._parts: list[_Pads] = []
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
            raise ValueError("a step of this material failed; start anew" if self._is_over else "no part is due")
        self._is_over = True
        self._parts.append(self._part(part))
        self._is_over = False
        self._made += part

    @property
    def _next_part(self) -> int:
        return min(PART, self._count - self._made)

    def _finished(self) -> _Pads:
        """All parts, joined; once: pads serve once."""
        if self._made < self._count or not self._parts:
            state = "handed over" if self._made == self._count else f"made for {self._made} of {self._count} values"
            raise ValueError(f"material is {state}; finish once, when no part is due")
        parts, self._parts = self._parts, []
        joined: _Pads = parts[0] if len(parts) == 1 else _joined(parts)
        return joined

    @abstractmethod
    def _part(self, count: int) -> _Pads:
        """In the order of the other party's."""


class ModelOwnerMaking(_Making[ModelOwnerPads]):
    def finish(self) -> ModelOwnerMaterial:
        """What has been made, once.

        Raises:
            ValueError: parts are due, or it has been handed over.
        """
        return ModelOwnerMaterial(self._count, self._finished())

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


class DataOwnerMaking(_Making[DataOwnerPads]):
    def finish(self) -> DataOwnerMaterial:
        """What has been made, once.

        Raises:
            ValueError: parts are due, or it has been handed over.
        """
        return DataOwnerMaterial(self._count, self._finished())

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


def model_owner_material(
    widths: Widths, count: int, sending: SenderSource, receiving: ReceiverSource
) -> ModelOwnerMaterial:
    """All steps at once; errors as for these."""
    making = ModelOwnerMaking(widths, count, sending, receiving)
    while making.due != NOTHING:
        making.step()
    return making.finish()


def data_owner_material(
    widths: Widths, count: int, sending: SenderSource, receiving: ReceiverSource
) -> DataOwnerMaterial:
    """All steps at once; errors as for these."""
    making = DataOwnerMaking(widths, count, sending, receiving)
    while making.due != NOTHING:
        making.step()
    return making.finish()


def _joined(parts: list[Any]) -> Any:
    """Pads of parts, along the last axis: that of the values, or of bytes of eight."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis=-1)
    joined = [_joined(list(pieces)) for pieces in zip(*parts, strict=True)]
    return tuple(joined) if type(parts[0]) is tuple else type(parts[0])(*joined)
