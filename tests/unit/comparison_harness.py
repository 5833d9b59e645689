"""Both parties of a non-linear layer: ideal transfers without end, or real ones, and a ReLU played through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from oblivious_harness import INSTANCE, Crossed, converse, opened, random_fields

from smule_crypten.comparison import relu
from smule_crypten.comparison.conversation import Turn
from smule_crypten.comparison.material import (
    DataOwnerMaterial,
    ModelOwnerMaterial,
    ReceiverSource,
    SenderSource,
    data_owner_material,
    model_owner_material,
)
from smule_crypten.comparison.relu import DataOwnerReady, ModelOwnerReady
from smule_crypten.comparison.widths import Widths, modulo
from smule_crypten.oblivious.blocks import Blocks, scaled
from smule_crypten.oblivious.cots import Fields, ReceiverCots, SenderCots
from smule_crypten.oblivious.hashing import Hashes
from smule_crypten.oblivious.parameters import B10, B12, Plan

REFERENCE = Widths(18, 6, 32)


class _Dealt:
    """What the two ends of an ideal instance share."""

    def __init__(self, seed: int) -> None:
        self.hash = Hashes(INSTANCE).pads
        self.seed = seed
        self.difference: Blocks = self.random(1 << 20, 1)[0] | np.array([1, 0], dtype=np.uint64)

    def random(self, number: int, count: int) -> Blocks:
        generator = np.random.default_rng([self.seed, number])
        blocks: Blocks = generator.integers(0, 1 << 64, (count, 2), dtype=np.uint64)
        return blocks


class IdealSender:
    def __init__(self, dealt: _Dealt) -> None:
        self._dealt, self._number, self._taken = dealt, 0, 0

    def take(self, count: int) -> SenderCots:
        blocks = self._dealt.random(self._number, count)
        blocks[:, 0] &= ~np.uint64(1)
        first, self._number, self._taken = self._taken, self._number + 1, self._taken + count
        return SenderCots(self._dealt.hash, first, blocks, self._dealt.difference)


class IdealReceiver:
    def __init__(self, dealt: _Dealt) -> None:
        self._dealt, self._number, self._taken = dealt, 0, 0

    def take(self, count: int) -> ReceiverCots:
        blocks = self._dealt.random(self._number, count)
        choices = (blocks[:, 0] & np.uint64(1)).astype(np.uint8)
        blocks[:, 0] &= ~np.uint64(1)
        first, self._number, self._taken = self._taken, self._number + 1, self._taken + count
        return ReceiverCots(self._dealt.hash, first, blocks ^ scaled(choices, self._dealt.difference))


@dataclass
class Parties:
    """The ends of both instances."""

    model_sending: SenderSource
    model_receiving: ReceiverSource
    data_sending: SenderSource
    data_receiving: ReceiverSource

    def material(self, widths: Widths, count: int) -> tuple[ModelOwnerMaterial, DataOwnerMaterial]:
        return (
            model_owner_material(widths, count, self.model_sending, self.model_receiving),
            data_owner_material(widths, count, self.data_sending, self.data_receiving),
        )


def ideal_parties(seed: int = 0) -> Parties:
    first, second = _Dealt(2 * seed), _Dealt(2 * seed + 1)
    return Parties(IdealSender(first), IdealReceiver(second), IdealSender(second), IdealReceiver(first))


def real_parties(seed: int = 0) -> Parties:
    """Six million transfers of each instance."""
    plan = Plan(start=B10, main=B12)
    model_sending, data_receiving, _ = opened(plan, stock=1 << 18, seed=2 * seed + 1)
    data_sending, model_receiving, _ = opened(plan, stock=1 << 18, seed=2 * seed + 2)
    return Parties(model_sending, model_receiving, data_sending, data_receiving)


@dataclass
class Played:
    """What a ReLU came to: the shares of its result, and what crossed before and after the images."""

    shares: tuple[Fields, Fields]
    ready: tuple[ModelOwnerReady, DataOwnerReady]
    prepared: Crossed
    online: Crossed


def play_relu(
    widths: Widths,
    c: Fields,
    v: Fields,
    parties: Parties,
    material: tuple[ModelOwnerMaterial, DataOwnerMaterial] | None = None,
) -> Played:
    ours, theirs = material or parties.material(widths, len(c))
    model_ready, data_ready, prepared = converse(
        relu.prepare_model_owner(widths, len(c), ours), relu.prepare_data_owner(widths, v, theirs)
    )
    model_share, data_share, online = converse(
        relu.relu_model_owner(widths, model_ready, c), relu.relu_data_owner(widths, data_ready)
    )
    return Played((model_share, data_share), (model_ready, data_ready), prepared, online)


def summed(widths: Widths, shares: tuple[Fields, Fields]) -> list[int]:
    """The value that two shares of a result have, as signed integers."""
    bits = widths.ring + widths.guard_bits
    return [signed(int(value), bits) for value in modulo(shares[0] + shares[1], bits)]


def signed(value: int, bits: int) -> int:
    value %= 1 << bits
    return value - (1 << bits) if value >> (bits - 1) else value


def expected_relu(widths: Widths, c: Fields, v: Fields) -> list[int]:
    """By plain integers."""
    values = [(int(a) << widths.guard_bits) + int(b) for a, b in zip(c, v, strict=True)]
    return [max(0, signed(value, widths.fine)) for value in values]


def random_shares(widths: Widths, count: int, seed: int) -> tuple[Fields, Fields]:
    return random_fields(2 * seed, count, widths.width), random_fields(2 * seed + 1, count, widths.fine)


def expected_sizes(turns: tuple[Turn, ...]) -> list[tuple[int, str, int]]:
    return [(0 if turn.by_model_owner else 1, turn.what, turn.num_bytes) for turn in turns]
