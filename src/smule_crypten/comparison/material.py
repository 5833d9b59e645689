"""What one batch of ReLUs takes of the two instances of silent transfer. Both parties take it in the same order."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from smule_crypten.comparison.digits import ReceiverDigits, SenderDigits
from smule_crypten.comparison.tree import GateTriples, prepare_gates
from smule_crypten.comparison.widths import Widths
from smule_crypten.oblivious.cots import ReceiverCots, SenderCots


class SenderSource(Protocol):
    """The sender's end of an instance (silent.py)."""

    def take(self, count: int) -> SenderCots: ...


class ReceiverSource(Protocol):
    def take(self, count: int) -> ReceiverCots: ...


class ModelOwnerMaterial(NamedTuple):
    digits: SenderDigits
    gates: GateTriples
    selection: SenderCots
    own_selection: ReceiverCots
    lifts: list[ReceiverCots]


class DataOwnerMaterial(NamedTuple):
    digits: ReceiverDigits
    gates: GateTriples
    selection: ReceiverCots
    own_selection: SenderCots
    lifts: list[SenderCots]


def model_owner_material(
    widths: Widths, count: int, sending: SenderSource, receiving: ReceiverSource
) -> ModelOwnerMaterial:
    digits = SenderDigits(sending.take(2 * widths.pairs * count), sending.take(3 * widths.has_triple * count))
    gates = prepare_gates(sending.take(widths.gates * count), receiving.take(widths.gates * count), count)
    lifts = [receiving.take(count) for _ in range(widths.hints)]
    return ModelOwnerMaterial(digits, gates, sending.take(count), receiving.take(count), lifts)


def data_owner_material(
    widths: Widths, count: int, sending: SenderSource, receiving: ReceiverSource
) -> DataOwnerMaterial:
    digits = ReceiverDigits(receiving.take(2 * widths.pairs * count), receiving.take(3 * widths.has_triple * count))
    gates = prepare_gates(sending.take(widths.gates * count), receiving.take(widths.gates * count), count)
    lifts = [sending.take(count) for _ in range(widths.hints)]
    return DataOwnerMaterial(digits, gates, receiving.take(count), sending.take(count), lifts)
