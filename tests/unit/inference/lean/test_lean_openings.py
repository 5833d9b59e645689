"""One opening at a time: truncation, ReLU and return to a wider ring, on values shared at random."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lean_harness import evaluate

from smule_crypten.fixed_point.program import Kind, Opening, Program, Step

REPEATS = 48
"""Masks that each value is opened under."""


def blocks_of(bits: int, most: int) -> tuple[int, ...]:
    """As equal as possible, none wider than `most`, larger ones first."""
    count = -(-bits // most)
    return tuple(bits // count + (number < bits % count) for number in range(count))


def opened(
    values: torch.Tensor,
    kind: Kind,
    *,
    width: int,
    fraction: int = 0,
    ring: int | None = None,
    block_bits: int = 4,
    seed: int = 0,
) -> torch.Tensor:
    """What becomes of int64 values (n,) in one step; the input's ring is as small as it may be."""
    ring = width if ring is None else ring
    shape = (len(values),)
    opening = Opening(
        elements=len(values),
        width=width,
        ring=ring,
        fraction=fraction,
        offset=0 if kind == "relu" else 1 << (width - 2),
        blocks=blocks_of(width - 1, block_bits),
    )
    steps = (
        Step(name="input", kind="input", inputs=(), shape=shape, width=width, fraction=fraction, ring=width + fraction),
        Step(name="x", kind=kind, inputs=(0,), shape=shape, width=width, fraction=0, ring=ring, openings=(opening,)),
    )
    return evaluate(Program(steps, 0), values.unsqueeze(0), {}, seed=seed)[0]


def edges(width: int) -> list[int]:
    """Around zero, both ends, and every power of two."""
    top = 1 << (width - 1)
    near = [value + step for value in (0, top, -top) for step in range(-3, 4)]
    powers = [sign * (1 << bit) + step for bit in range(width - 1) for sign in (1, -1) for step in (-1, 0, 1)]
    return sorted({value for value in near + powers if -top <= value < top})


def check_relu(values: list[int], *, width: int, **other: int) -> None:
    """Positive values are kept, negative ones become zero, all of them exactly."""
    z = torch.tensor(values).repeat_interleave(REPEATS)
    found = opened(z << other.get("fraction", 0), "relu", width=width, **other)
    wrong = found != z.clamp(min=0)
    assert not wrong.any(), list(zip(z[wrong].tolist(), found[wrong].tolist(), strict=True))[:5]


@pytest.mark.parametrize("block_bits", range(1, 6))
@pytest.mark.parametrize("fraction", [0, 3])
@pytest.mark.parametrize("width", [4, 6, 7, 8])
def test_relu_exhaustively(width: int, fraction: int, block_bits: int) -> None:
    """Every value of a small width, for every width of a block, with and without bits to round away."""
    values = list(range(-(1 << (width - 1)), 1 << (width - 1)))
    check_relu(values, width=width, fraction=fraction, block_bits=block_bits, ring=16)


@pytest.mark.parametrize("block_bits", range(1, 6))
@pytest.mark.parametrize(
    ("width", "fraction", "ring"),
    [
        (12, 4, 16),
        (20, 12, 32),
        (20, 12, 20),
        (21, 11, 22),
        (22, 10, 33),
        (40, 24, 64),
        (48, 16, 64),
        (48, 16, 48),
        (60, 4, 64),
        (62, 2, 64),
        (63, 1, 64),
        (63, 0, 64),
    ],
)
def test_relu_at_the_edges(width: int, fraction: int, ring: int, block_bits: int) -> None:
    """Products of 16 to 64 bits, rings that grow by nothing, by one bit and by many: the ends of the range, both sides
    of zero and of every power of two.
    """
    check_relu(edges(width), width=width, fraction=fraction, ring=ring, block_bits=block_bits)


@given(st.data(), st.integers(4, 60), st.integers(0, 16), st.integers(1, 5))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_relu_of_anything(data: st.DataObject, width: int, growth: int, block_bits: int) -> None:
    """Any width, extension, block width, and any values."""
    fraction, ring = min(12, 64 - width), min(64, width + growth)
    top = 1 << (width - 1)
    values = data.draw(st.lists(st.integers(-top, top - 1), min_size=1, max_size=8))
    check_relu(values, width=width, fraction=fraction, ring=ring, block_bits=block_bits)


@pytest.mark.parametrize(("width", "ring"), [(8, 8), (8, 9), (8, 32), (20, 32), (48, 64), (62, 64), (63, 64)])
def test_truncation_without_relu(width: int, ring: int) -> None:
    """Signed values of half the range, both of its edges among them, return to their ring as they are."""
    half = 1 << (width - 2)
    values = [value for value in edges(width) if -half <= value < half]
    z = torch.tensor(values).repeat_interleave(REPEATS)
    fraction = min(12, 64 - width)
    assert torch.equal(opened(z << fraction, "truncate", width=width, fraction=fraction, ring=ring), z)


@pytest.mark.parametrize("width", range(4, 9))
def test_truncation_exhaustively(width: int) -> None:
    """All values of the width, in a wide ring and in none wider. Beyond half of it a value wraps or stops at the end of
    the range, always the same way, whatever the masks: which way must tell nothing of what was opened.
    """
    half, top = 1 << (width - 2), 1 << (width - 1)
    z = torch.arange(-top, top).repeat_interleave(REPEATS)
    expected = torch.where((z >= -half) & (z < half), z, -half)
    for fraction in (0, 3):
        for ring in (width, 2 * width):
            found = opened(z << fraction, "truncate", width=width, fraction=fraction, ring=ring)
            shift = 64 - ring
            assert torch.equal(found, (expected << shift) >> shift)


@given(st.lists(st.integers(-(1 << 29), (1 << 29) - 1), min_size=1, max_size=20), st.integers(1, 12), st.booleans())
@settings(derandomize=True, deadline=None, max_examples=60)
def test_rounding_is_to_a_neighbour(values: list[int], fraction: int, is_relu: bool) -> None:
    """The result is v / 2^fraction rounded down or up, and exactly that where v is a multiple."""
    v = torch.tensor(values).repeat_interleave(8)
    v = torch.cat([v, v >> fraction << fraction])
    found = opened(v, "relu" if is_relu else "truncate", width=32, fraction=fraction, ring=40)
    low, high = v >> fraction, -(-v >> fraction)
    if is_relu:
        low, high = low.clamp(min=0), high.clamp(min=0)
    assert bool(((found == low) | (found == high)).all())


@pytest.mark.parametrize("kind", ["truncate", "relu"])
def test_rounding_is_unbiased(kind: Kind) -> None:
    """The mean over many masks is v / 2^fraction: within 6 standard deviations of a coin that says "up" with the
    probability of the rest (a false alarm in 2e-9 runs, were the seed not fixed), for every rest of 4 bits.
    """
    fraction, repeats = 4, 4096
    v = (torch.arange(1 << fraction) + (37 << fraction)).repeat_interleave(repeats)
    rounded_up = (opened(v, kind, width=16, fraction=fraction, ring=32) - 37).view(-1, repeats).double().mean(1)
    for rest, share in enumerate(rounded_up.tolist()):
        expected = rest / (1 << fraction)
        assert abs(share - expected) <= 6 * math.sqrt(expected * (1 - expected) / repeats)


def test_every_mask_counts() -> None:
    """One value under all masks of a small width: the sign is right for each difference and each carry."""
    z = torch.tensor([-8, -7, -1, 0, 1, 6, 7]).repeat_interleave(4096)
    found = opened(z, "relu", width=4, ring=8, block_bits=1)
    assert torch.equal(found, z.clamp(min=0))
