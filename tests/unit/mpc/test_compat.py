from __future__ import annotations

import importlib
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smule_crypten.mpc.compat import crypten, decode_exact, encode_rounded

encoder = importlib.import_module("crypten.encoder")
PRECISIONS = (4, 16, 24)


def nearest_float32(value: Fraction) -> np.float32:
    """Numerator and denominator are exact in float64 here, and so is their quotient by a power of two."""
    return np.float32(value.numerator / value.denominator)


def stock_encode(x: torch.Tensor, scale: int) -> torch.Tensor:
    """CrypTen 0.4.1, crypten/encoder.py: truncates toward zero."""
    return (scale * x).long()


def stock_decode(ring: torch.Tensor, scale: int) -> torch.Tensor:
    """CrypTen 0.4.1, crypten/encoder.py: divides by scale - 1 where the element is negative."""
    correction = (ring < 0).long()
    dividend = ring.div(scale - correction, rounding_mode="floor")
    remainder = ring % scale
    remainder += (remainder == 0).long() * scale * correction
    return dividend.float() + remainder.float() / scale


def test_crypten_uses_the_replacements() -> None:
    """Whoever imports crypten through compat gets both, also CrypTen's own modules."""
    assert encoder.FixedPointEncoder.encode is encode_rounded
    assert encoder.FixedPointEncoder.decode is decode_exact
    assert crypten.__name__ == "crypten"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=st.floats(-1e4, 1e4), precision_bits=st.sampled_from(PRECISIONS))
def test_encode_rounds_to_nearest(value: float, precision_bits: int) -> None:
    """No representable number is nearer than the chosen one, whatever type the value comes in."""
    fixed = encoder.FixedPointEncoder(precision_bits)
    for x in (value, torch.tensor(value, dtype=torch.float64), np.float64(value)):
        encoded = fixed.encode(x)
        assert encoded.dtype == torch.int64
        assert abs(Fraction(int(encoded), fixed.scale) - Fraction(value)) <= Fraction(1, 2 * fixed.scale)


def test_stock_encode_is_further_off() -> None:
    """Negative control: truncation toward zero shrinks every weight, by half a unit on average."""
    x = torch.linspace(0.0, 1.0, 10_001, dtype=torch.float64)
    encoded = encoder.FixedPointEncoder(16).encode(x), stock_encode(x, 2**16)
    ours, stock = (ring.double() / 2**16 - x for ring in encoded)
    assert ours.abs().max() <= 0.5 / 2**16
    assert stock.mean() == pytest.approx(-0.5 / 2**16, rel=0.05)
    assert abs(ours.mean()) < abs(stock.mean()) / 20


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (3, [196608]),
        (-3, [-196608]),
        (0.5, [32768]),
        ([1, 2], [65536, 131072]),
        ([0.1, -0.1], [6554, -6554]),
        (np.array([1, -1]), [65536, -65536]),
        (np.array([0.1], dtype=np.float64), [6554]),
        (torch.tensor([1, -1], dtype=torch.int8), [65536, -65536]),
        (torch.tensor([0.1, -0.1]), [6554, -6554]),
        (torch.tensor([0.5], dtype=torch.float16), [32768]),
        (torch.tensor([True, False]), [65536, 0]),
    ],
)
def test_encode_takes_what_crypten_takes(x: object, expected: list[int]) -> None:
    """CrypTen hands over Python numbers, lists, arrays and tensors of any type."""
    encoded = encoder.FixedPointEncoder(16).encode(x)
    assert encoded.dtype == torch.int64
    assert encoded.flatten().tolist() == expected
    assert encoded.dim() == (0 if isinstance(x, int | float) else 1)


def test_encode_leaves_shared_tensors_alone() -> None:
    """What is shared already is at its own scale."""
    shared = crypten.mpc.MPCTensor.__new__(crypten.mpc.MPCTensor)
    assert encoder.FixedPointEncoder(16).encode(shared) is shared


@settings(max_examples=300, deadline=None, derandomize=True)
@given(ring=st.integers(-(2**52), 2**52), precision_bits=st.sampled_from(PRECISIONS))
def test_decode_is_exact(ring: int, precision_bits: int) -> None:
    """The opened value is the float32 nearest to ring / scale, on both sides of zero."""
    fixed = encoder.FixedPointEncoder(precision_bits)
    decoded = fixed.decode(torch.tensor([ring]))
    assert decoded.dtype == torch.float32
    assert decoded.numpy()[0] == nearest_float32(Fraction(ring, fixed.scale))


def test_stock_decode_is_off_by_one() -> None:
    """Negative control: some opened negative values are wrong by 1, which is far more than the precision."""
    ring = torch.arange(-1000 * 2**16 - 2**16, -1000 * 2**16)
    exact = ring.double() / 2**16
    off = (stock_decode(ring, 2**16) - exact).abs() > 0.5
    assert 0.005 < off.double().mean() < 0.05
    assert ((encoder.FixedPointEncoder(16).decode(ring) - exact).abs() < 1e-4).all()


def test_decode_without_fractional_bits() -> None:
    """Integers stay integers, as in CrypTen: float32 would lose the 1."""
    ring = torch.tensor([2**40 + 1, -3])
    assert encoder.FixedPointEncoder(0).decode(ring).tolist() == [2**40 + 1, -3]
    assert encoder.FixedPointEncoder(0).decode(None) is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(ring=st.integers(-(2**23), 2**23), precision_bits=st.sampled_from(PRECISIONS))
def test_round_trip(ring: int, precision_bits: int) -> None:
    """What float32 can hold survives decoding and encoding unchanged."""
    fixed = encoder.FixedPointEncoder(precision_bits)
    assert fixed.encode(fixed.decode(torch.tensor([ring]))).tolist() == [ring]
