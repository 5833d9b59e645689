"""What each party sees is uniform given its inputs, and variants that would tell something are caught.

All values of a batch have the same inputs, so every bit of a view has to be a fair coin, and no two or three of them
that the protocol puts side by side may be related, to each other or to a party's own random choices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from comparison_harness import REFERENCE, Played, ideal_parties, play_relu
from oblivious_harness import Crossed

from smule_crypten.comparison import tree
from smule_crypten.comparison.conversation import Part
from smule_crypten.comparison.cost import relu_cost
from smule_crypten.comparison.material import DataOwnerMaterial, ModelOwnerMaterial
from smule_crypten.comparison.relu import ModelOwnerReady
from smule_crypten.comparison.tree import GateTriples
from smule_crypten.comparison.widths import Widths, modulo
from smule_crypten.oblivious import one_of_four, one_of_two
from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.cots import Pads, SenderCots, Use, narrowed
from smule_crypten.oblivious.wire import unpack_fields

COUNT = 16_000
"""Divisible by 8: rows end with a byte."""

INPUTS = [(0, 0), (5, -5 * 64), (5, -5 * 64 - 1), (131_071, 0), (131_072, 0), (77, 123_456), (200_000, -9_000_000)]
"""c, and v in units of 2^-6: zero, c = r, just below zero, the largest, the smallest, and some."""

Columns = npt.NDArray[np.int8]
"""Signs, one row a bit of the view, one column a value: +1 for 0, -1 for 1."""


def played_on(
    inputs: tuple[int, int],
    material: tuple[ModelOwnerMaterial, DataOwnerMaterial] | None = None,
    widths: Widths = REFERENCE,
) -> Played:
    c, v = inputs
    own = np.full(COUNT, c, dtype=np.uint64)
    theirs = modulo(np.full(COUNT, v, dtype=np.int64).astype(np.uint64), widths.fine)
    return play_relu(widths, own, theirs, ideal_parties(8), material)


def bits_of(crossed: Crossed, is_model_owner: bool, number: int, widths: Widths = REFERENCE) -> Iterator[Columns]:
    """All bits that one party hears, from one phase."""
    cost = relu_cost(COUNT, widths)
    sizes = {"selection": widths.width, "correction of the selection": widths.fine, "wraps": widths.extension}
    turns = (cost.prepared, cost.online)[number]
    for turn, (who, _, data) in zip(turns, crossed.messages, strict=True):
        assert turn.by_model_owner == (who == 0)
        if turn.by_model_owner == is_model_owner:
            continue
        for part, piece in zip(turn.parts, _pieces(turn.parts, data), strict=True):
            if part.what in sizes:
                yield planes(unpack_fields(piece, COUNT, sizes[part.what]), sizes[part.what])
            else:
                yield signs(np.unpackbits(piece, bitorder="little").reshape(-1, COUNT))


def _pieces(parts: tuple[Part, ...], data: Bytes) -> list[Bytes]:
    return np.split(data, np.cumsum([part.num_bytes for part in parts])[:-1])


class View(NamedTuple):
    """Rows of `columns`: what a party hears, its choices, its pads and triples, then `masked`, then `result`.

    masked: its share of s v, which its share of the result contains; the only two things that may be related.
    """

    columns: Columns
    masked: slice
    result: slice

    def uniform(self) -> bool:
        return looks_uniform(self.columns, (self.masked, self.result))


def view(played: Played, is_model_owner: bool, widths: Widths = REFERENCE) -> View:
    ready, result = played.ready[not is_model_owner], played.shares[not is_model_owner]
    choices = ready.choices if isinstance(ready, ModelOwnerReady) else ready.selection.choices
    heard = [
        piece
        for phase, crossed in enumerate((played.prepared, played.online))
        for piece in bits_of(crossed, is_model_owner, phase, widths)
    ]
    digits = ready.digits if isinstance(ready, ModelOwnerReady) else ready.digits[2:]
    rows = [choices, *digits, *ready.gates]
    own = [signs(np.unpackbits(one.reshape(-1, COUNT // 8), axis=1, bitorder="little")) for one in rows]
    masked, shared = planes(ready.masked, widths.fine), planes(result, widths.ring + widths.guard_bits)
    columns = np.concatenate([*heard, *own, masked, shared])
    end = len(columns) - len(shared)
    return View(columns, slice(end - len(masked), end), slice(end, len(columns)))


def planes(values: Pads, width: int) -> Columns:
    return signs((values.astype(np.uint64) >> np.arange(width, dtype=np.uint64)[:, None]) & np.uint64(1))


def signs(bits: npt.NDArray[Any]) -> Columns:
    return 1 - 2 * bits.astype(np.int8)


def looks_uniform(columns: Columns, related: tuple[slice, slice] | None = None) -> bool:
    """Each bit alone, each two, and each three neighbours and three entries of a table.

    related: rows that may have to do with each other.
    """
    numbers = columns.astype(np.float32)
    limit = 6 / COUNT**0.5
    pairs = numbers @ numbers.T / COUNT
    np.fill_diagonal(pairs, 0)
    if related:
        pairs[related] = pairs[related[::-1]] = 0
    triples = [
        (numbers[: -2 * step] * numbers[step:-step] * numbers[2 * step :]).mean(axis=1) for step in (1, REFERENCE.pairs)
    ]
    return bool(abs(numbers.mean(axis=1)).max() < limit and abs(pairs).max() < limit) and all(
        bool(abs(one).max() < limit) for one in triples
    )


@pytest.mark.parametrize("inputs", INPUTS)
def test_views_are_uniform(inputs: tuple[int, int]) -> None:
    """Of M (41 bits and 33) and of D (80 bits a value), each with a choice, its pads, 35 bits of triples and shares."""
    played = played_on(inputs)
    model_owner, data_owner = view(played, True), view(played, False)
    shares = 24 + 38
    assert len(model_owner.columns) == 41 + 33 + 1 + (28 + 8 + 14 + 7) + 35 + shares
    assert len(data_owner.columns) == 80 + 1 + (7 + 1 + 7) + 35 + shares
    assert model_owner.uniform()
    assert data_owner.uniform()


@pytest.mark.parametrize("inputs", [(0, 0), (3, -12), (511, 3), (512, 0), (700, 1234)])
def test_views_are_uniform_with_two_hints(inputs: tuple[int, int]) -> None:
    """Four digits, two levels: D hears M's highest bit for both candidates, and uses one."""
    widths = Widths(10, 2, 20)
    assert widths.hints == 2
    played = played_on(inputs, widths=widths)
    assert view(played, True, widths).uniform()
    assert view(played, False, widths).uniform()


def test_a_result_that_shows_a_pad_is_caught() -> None:
    """What a party has of its own is held against all: a share of the result that is a pad of a digit does not pass."""
    seen = view(played_on((77, 123_456)), False)
    assert seen.uniform()
    seen.columns[seen.result.start] = seen.columns[81]
    assert not seen.uniform()


def test_shares_of_the_result_say_nothing_alone() -> None:
    """D's share is uniform in all bits but what the lift leaves, M's likewise: each bit is a fair coin."""
    shares = played_on((77, 123_456)).shares
    for share in shares:
        bits = (share >> np.arange(38, dtype=np.uint64)[:, None]) & np.uint64(1)
        assert abs(bits.mean(axis=1) - 0.5).max() < 3 / COUNT**0.5


def test_pads_that_are_a_xor_of_two_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four pads of a digit would sum to zero, and so would three entries of a table, but for M's digit."""
    right = one_of_four.send_random

    def xor_of_two(cots: SenderCots, width: int, products: int) -> tuple[Pads, Pads]:
        low, high = np.split(cots._blocks, 2)
        _, pairs = right(cots, width, products)
        both = one_of_two.multiples(cots.difference)
        first, second = (
            cots.pads(half, both, Use.TABLE, width, side * len(low)) for side, half in enumerate((low, high))
        )
        return np.stack([first[u & 1] ^ second[u >> 1] for u in range(4)]), pairs

    assert looks_uniform(_tables(played_on((77, 123_456))))
    monkeypatch.setattr(one_of_four, "send_random", xor_of_two)
    assert not looks_uniform(_tables(played_on((77, 123_456))))


def _tables(played: Played) -> Columns:
    return view(played, False).columns[: 3 * REFERENCE.pairs]


def test_a_transfer_used_twice_is_caught() -> None:
    """The transfer of the selection, once more for the lift: M hears two messages under the same pads."""
    ours, theirs = ideal_parties(8).material(REFERENCE, COUNT)
    received = ours.pads.own_selection
    again = received._replace(pads=narrowed(received.pads, REFERENCE.extension))
    ours = replace(ours, pads=ours.pads._replace(lifts=(again,)))
    sent = narrowed(theirs.pads.own_selection, REFERENCE.extension)
    theirs = replace(theirs, pads=theirs.pads._replace(lifts=(sent,)))
    assert not view(played_on((0, 0), (ours, theirs)), True).uniform()


def test_a_triple_used_twice_is_caught() -> None:
    """Each gate under the masks of the first: what is opened for two gates has a relation to their operands."""

    def repeated(triples: GateTriples) -> GateTriples:
        return GateTriples(*(np.repeat(rows[:1], len(rows), axis=0) for rows in triples))

    ours, theirs = ideal_parties(8).material(REFERENCE, COUNT)
    ours = replace(ours, pads=ours.pads._replace(gates=repeated(ours.pads.gates)))
    theirs = replace(theirs, pads=theirs.pads._replace(gates=repeated(theirs.pads.gates)))
    played = played_on((77, 123_456), (ours, theirs))
    model_said = np.concatenate(list(bits_of(played.online, False, 1)))
    data_said = np.concatenate(list(bits_of(played.online, True, 1)))
    opened = _opened(model_said, data_said)
    assert not looks_uniform(opened)


def test_what_both_open_is_uniform() -> None:
    """The xor of both parties' openings, operands under masks that neither knows: 18 bits and beta."""
    played = played_on((77, 123_456))
    model_said = np.concatenate(list(bits_of(played.online, False, 1)))
    data_said = np.concatenate(list(bits_of(played.online, True, 1)))
    opened = _opened(model_said, data_said)
    assert len(opened) == 19
    assert looks_uniform(opened)


def _opened(model_said: Columns, data_said: Columns) -> Columns:
    """M's openings lie behind 42 rows of tables and 18 of the selection, before a hint; D's before 14 of the lift."""
    count = sum(size // (COUNT // 8) for size in tree.opening_bytes(REFERENCE, COUNT)) + 1
    return model_said[60 : 60 + count] * data_said[:count]


def test_a_leaning_bit_is_seen() -> None:
    """The statistics themselves: fair coins pass, and one bit that leans by a twentieth does not."""
    fair = np.where(np.random.default_rng(1).random((20, COUNT)) < 0.5, 1, -1).astype(np.int8)
    assert looks_uniform(fair)
    fair[3, : COUNT // 20] = 1
    assert not looks_uniform(fair)
