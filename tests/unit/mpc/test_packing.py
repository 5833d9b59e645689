from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smule_crypten.mpc import packing
from smule_crypten.mpc.packing import MAX_WIDTH, pack, pack_lowest, packed_bytes, unpack

WIDTHS = range(1, MAX_WIDTH + 1)
COUNTS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65)
"""On both sides of where the planes of 1, 2 and 4 bits fill a byte."""


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def packed_by_hand(values: list[int], width: int) -> bytes:
    """The layout as the module states it, with Python's integers."""
    whole, shift = width // 8, width // 8 * 8
    packed = b"".join((value % (1 << 64)).to_bytes(8, "little")[:whole] for value in values)
    for plane in (plane for plane in (4, 2, 1) if width % 8 & plane):
        joined = sum(((value >> shift) % (1 << plane)) << (plane * i) for i, value in enumerate(values))
        packed += joined.to_bytes((plane * len(values) + 7) // 8, "little")
        shift += plane
    return packed


@pytest.mark.parametrize("width", WIDTHS)
def test_layout(width: int) -> None:
    """Every width, at counts around the plane boundaries: the stated bytes, the stated size, and the way back."""
    generator = random.Random(width)
    for count in COUNTS:
        values = [signed(generator.getrandbits(64)) for _ in range(count)]
        data = pack(torch.tensor(values, dtype=torch.int64), width)
        assert bytes(data.tolist()) == packed_by_hand(values, width)
        assert data.dtype == torch.uint8
        assert len(data) == packed_bytes(count, width)
        expected = [value % (1 << width) for value in values]
        assert unpack(data, count, width).tolist() == [signed(v) if width == 64 else v for v in expected]


@pytest.mark.parametrize("width", WIDTHS)
def test_on_other_devices(width: int) -> None:
    """PyTorch's own way, which other devices take, gives the same bytes and the same values."""
    for count in COUNTS:
        values = torch.randint(-(2**63), 2**63 - 1, (count,), generator=torch.Generator().manual_seed(count))
        data = pack(values, width)
        assert torch.equal(packing.pack_anywhere(values, width), data)
        assert torch.equal(packing.unpack_anywhere(data, count, width), unpack(data, count, width))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_values_that_lie_apart(count: int) -> None:
    """Every other value of a tensor, also where there is only one of them: both ways give the same bytes."""
    apart = torch.arange(3, 13)[::2][:count]
    expected = pack(apart.clone(memory_format=torch.contiguous_format), 13)
    assert torch.equal(pack(apart, 13), expected)
    assert torch.equal(packing.pack_anywhere(apart, 13), expected)


@pytest.mark.parametrize("width", range(1, 33))
def test_integers_of_32_bits(width: int) -> None:
    """The same bytes as of 64, and the low 32 bits of the same values."""
    values = torch.randint(-(2**31), 2**31, (77,), generator=torch.Generator().manual_seed(width))
    data = pack(values, width)
    assert torch.equal(pack(values.int(), width), data)
    assert torch.equal(packing.pack_anywhere(values.int(), width), data)
    assert torch.equal(unpack(data, 77, width, torch.int32), unpack(data, 77, width).int())


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_rows_of_bits(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row by row what `pack` gives of one bit, by NumPy and by PyTorch."""
    values = torch.randint(-(2**31), 2**31, (77,), generator=torch.Generator().manual_seed(8)).to(dtype)
    expected = [pack(values >> bit, 1) for bit in range(3)]
    for _ in range(2):
        assert all(torch.equal(one, other) for one, other in zip(pack_lowest(values, 3), expected, strict=True))
        monkeypatch.setattr(packing, "by_numpy", lambda values: False)


@pytest.mark.parametrize("width", WIDTHS)
def test_size(width: int) -> None:
    """A message is never longer than its bits, but for less than a byte in each of three planes; of 8 values, never."""
    for count in COUNTS:
        assert 0 <= 8 * packed_bytes(count, width) - count * width < 3 * 8
        assert packed_bytes(8 * count, width) == count * width


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40), st.integers(1, 64))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_round_trip(values: list[int], width: int) -> None:
    """What is above the width never reaches the wire, and what is below always does."""
    tensor = torch.tensor(values, dtype=torch.int64)
    back = unpack(pack(tensor, width), len(values), width)
    assert [value % (1 << width) for value in back.tolist()] == [value % (1 << width) for value in values]


@given(st.integers(1, 64), st.integers(0, 40), st.randoms(use_true_random=False))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_every_bit_string_is_some_values(width: int, count: int, generator: random.Random) -> None:
    """Random bytes are uniform values: what is drawn from a stream as packed bytes unpacks to values of its width and
    packs to the same bytes again, but for what fills up a plane.
    """
    data = torch.tensor([generator.getrandbits(8) for _ in range(packed_bytes(8 * count, width))], dtype=torch.uint8)
    values = unpack(data, 8 * count, width)
    assert torch.equal(pack(values, width), data)


def test_any_shape_and_stride() -> None:
    """A transposed view is packed in its own order, not in that of its memory."""
    values = torch.arange(12).view(3, 4).t()
    assert not values.is_contiguous()
    assert unpack(pack(values, 5), 12, 5).tolist() == values.flatten().tolist()


def test_bits_combine_packed() -> None:
    """XOR and AND of packed bits are packed XOR and AND: gates work on packed words."""
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randint(0, 2, (2, 77), generator=generator)
    assert torch.equal(unpack(pack(a, 1) ^ pack(b, 1), 77, 1), a ^ b)
    assert torch.equal(unpack(pack(a, 1) & pack(b, 1), 77, 1), a & b)


@pytest.mark.parametrize("width", [0, 65, -1])
def test_refused_width(width: int) -> None:
    """A width that no value has is an error and not an empty message."""
    with pytest.raises(ValueError, match="1 to 64"):
        packed_bytes(3, width)
