from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smule_crypten.inference.lean.and_tree import (
    GreaterTree,
    level_operands,
    mask_products,
    num_operands,
    num_products,
    tree_shape,
)
from smule_crypten.inference.lean.blocks import look_up, places, thermometers, word_widths
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.packing import MAX_WIDTH, pack, packed_bytes, unpack
from smule_crypten.mpc.streams import Stream

Words = list[torch.Tensor]
Nodes = list[tuple[torch.Tensor, torch.Tensor]]


def split(values: Words, stream: Stream, width: int) -> tuple[Words, Words]:
    """XOR shares."""
    ours = [stream.packed(value.numel(), width) for value in values]
    return ours, [value ^ share for value, share in zip(values, ours, strict=True)]


def split_packed(values: Words, stream: Stream) -> tuple[Words, Words]:
    ours = [stream.random_bytes(len(value)) for value in values]
    return ours, [value ^ share for value, share in zip(values, ours, strict=True)]


def leaves(blocks: tuple[int, ...], public: torch.Tensor, dealt: torch.Tensor) -> tuple[Nodes, Nodes]:
    """Both parties' shares of ("dealt = public", "dealt > public") for every block."""
    stream = Stream(insecure_key(3, "thermometers"))
    words = split(thermometers(blocks, dealt), stream, MAX_WIDTH)
    return look_up(blocks, public, words[0], True), look_up(blocks, public, words[1], False)


def compare(blocks: tuple[int, ...], public: torch.Tensor, dealt: torch.Tensor) -> torch.Tensor:
    """dealt > public by the whole protocol of both parties, from tables to tree; checks what is opened on the way."""
    stream = Stream(insecure_key(4, "gates"))
    size = packed_bytes(len(public), 1)
    masks = [stream.random_bytes(size) for _ in range(num_operands(len(blocks)))]
    operands = split_packed(masks, stream)
    products = split_packed(mask_products(masks, len(blocks)), stream)
    nodes = leaves(blocks, public, dealt)
    first, second = (GreaterTree(nodes[p], operands[p], products[p], is_first=p == 0) for p in (0, 1))
    for level in tree_shape(len(blocks)):
        assert not first.is_done
        pairs = list(zip(first.masked_operands(), second.masked_operands(), strict=True))
        assert len(pairs) == level_operands(level)
        opened = [ours ^ theirs for ours, theirs in pairs]
        first.combine(opened)
        second.combine(opened)
    assert first.is_done
    assert second.is_done
    return unpack(first.greater ^ second.greater, len(public), 1)


@pytest.mark.parametrize("bits", range(1, 6))
def test_one_block(bits: int) -> None:
    """Every pair of values of one block, for every width of a block: the shares are of "equal" and of "greater"."""
    public, dealt = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(1 << bits)] * 2, indexing="ij"))
    ((equal, greater),), ((also_equal, also_greater),) = leaves((bits,), public, dealt)
    assert unpack(equal ^ also_equal, len(public), 1).tolist() == (dealt == public).long().tolist()
    assert unpack(greater ^ also_greater, len(public), 1).tolist() == (dealt > public).long().tolist()


@pytest.mark.parametrize(
    "blocks",
    [(1,), (2,), (5,), (1, 1), (2, 1), (3, 2), (1, 1, 1), (2, 2, 1), (1,) * 4, (2, 1, 1, 1), (1,) * 5, (1,) * 7],
)
def test_exhaustively(blocks: tuple[int, ...]) -> None:
    """Every pair of small numbers, with a bit above the blocks that must not matter."""
    numbers = torch.arange(1 << (sum(blocks) + 1))
    public, dealt = (axis.flatten() for axis in torch.meshgrid(numbers, numbers, indexing="ij"))
    compared = (1 << sum(blocks)) - 1
    expected = ((dealt & compared) > (public & compared)).long()
    assert torch.equal(compare(blocks, public, dealt), expected)


@given(st.integers(1, 5), st.integers(1, 30), st.data())
@settings(derandomize=True, deadline=None, max_examples=80)
def test_large_numbers(bits: int, count: int, data: st.DataObject) -> None:
    """Numbers of up to 62 bits, in equal and unequal blocks, also where they differ in one bit only."""
    blocks = tuple(max(1, bits - (number >= count // 2)) for number in range(count))
    while sum(blocks) > 62:
        blocks = blocks[:-1]
    top = (1 << sum(blocks)) - 1
    pairs = data.draw(st.lists(st.tuples(st.integers(0, top), st.integers(0, top)), min_size=1, max_size=12))
    pairs += [(value, value ^ (1 << bit)) for value, _ in pairs[:2] for bit in range(top.bit_length())]
    pairs += [(value, value) for value, _ in pairs[:2]]
    public, dealt = torch.tensor(pairs).t().contiguous()
    assert torch.equal(compare(blocks, public, dealt), (dealt > public).long())


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30).map(tuple))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_places(blocks: tuple[int, ...]) -> None:
    """Blocks cover the number without a gap, thermometers cover words of at most 64 bits without an overlap, and the
    stated widths are what they take.
    """
    found = places(blocks)
    assert [place.bits for place in found] == list(blocks)
    assert [place.shift for place in found] == [sum(blocks[i + 1 :]) for i in range(len(blocks))]
    for word, width in enumerate(word_widths(blocks)):
        inside = [place for place in found if place.word == word]
        taken = [bit for place in inside for bit in range(place.offset, place.offset + place.length)]
        assert taken == list(range(width))
        assert width <= MAX_WIDTH
    assert sum(word_widths(blocks)) == sum(2**bits - 1 for bits in blocks)


@pytest.mark.parametrize(
    ("blocks", "levels", "operands", "products"),
    [
        (1, 0, 0, 0),
        (2, 1, 2, 1),
        (3, 1, 4, 5),
        (4, 2, 7, 4),
        (5, 2, 9, 8),
        (6, 2, 12, 10),
        (7, 2, 14, 14),
        (9, 2, 18, 26),
        (10, 3, 23, 17),
    ],
)
def test_shape(blocks: int, levels: int, operands: int, products: int) -> None:
    """What trees cost, counted by hand. A pair opens e1, g2 and, unless it is lowest, e2, with 1 (2) products of masks;
    three open e1, g2, e2, g3 (and e3), with 5 (8) products.
    """
    found = len(tree_shape(blocks)), num_operands(blocks), num_products(blocks)
    assert found == (levels, operands, products)


@pytest.mark.parametrize("blocks", range(1, 64))
def test_shape_grows_slowly(blocks: int) -> None:
    """Levels are the logarithm to base three; one block is left in the end; only the lowest group lacks "equal"."""
    levels = tree_shape(blocks)
    assert 3 ** len(levels) >= blocks
    assert len(levels) == 0 or 3 ** (len(levels) - 1) < blocks
    assert blocks - sum(group.size - 1 for level in levels for group in level) == 1
    assert all([group.needs_equal for group in level] == [True] * (len(level) - 1) + [False] for level in levels)


def test_shares_alone_say_nothing_of_the_public_number() -> None:
    """Exactly one party adds the constants: with shares that are zero at both, one of them holds "dealt >= 0"."""
    public = torch.zeros(8, dtype=torch.int64)
    words = [torch.zeros(8, dtype=torch.int64)]
    ours, theirs = (look_up((3,), public, words, is_first) for is_first in (True, False))
    ones = pack(torch.ones(8, dtype=torch.int64), 1)
    assert torch.equal(ours[0][0] ^ theirs[0][0], ones)
    assert not (ours[0][1] ^ theirs[0][1]).any()
