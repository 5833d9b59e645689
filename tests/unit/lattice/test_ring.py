from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_harness import stream
from make_lattice_product import CASES
from schoolbook import digest, factors, negacyclic
from scipy.stats import chisquare
from vector_files import load

from smule_crypten.errors import ProtocolError
from smule_crypten.lattice.parameters import (
    ERROR_COINS,
    ERROR_DEVIATION,
    LATTICES,
    LEAST_SECURITY,
    TERNARY_VARIANCE,
    hint_deviation,
    lattice_for,
)
from smule_crypten.lattice.ring import (
    errors,
    exact_limb_bits,
    limb_width,
    limbs,
    product,
    rounded,
    spectrum,
    ternary,
    uniform,
)
from smule_crypten.mpc.packing import signed

DRAWN = 1 << 18


def multiplied(a: torch.Tensor, s: torch.Tensor, bits: int) -> torch.Tensor:
    return product(spectrum(a, bits), spectrum(s, 2))


@pytest.mark.parametrize(
    "case", load("lattice_product")["cases"], ids=lambda case: f"{case['degree']} {case['modulus_bits']}"
)
def test_known_products(case: dict[str, Any]) -> None:
    """Products made by the definition, in Python's own integers (the file says how), come out to the last bit."""
    degree, bits = case["degree"], case["modulus_bits"]
    a, s = factors(degree, bits)
    residues = signed(torch.tensor([value - (1 << 64 if value >= 1 << 63 else 0) for value in a]), bits)
    found = [int(value) % (1 << bits) for value in multiplied(residues, torch.tensor(s), bits)]
    assert found[:4] == case["first"]
    assert digest(found) == case["sha256"]


def test_every_size_in_use_has_a_known_product() -> None:
    assert {(lattice.degree, lattice.modulus_bits) for lattice in LATTICES} <= set(CASES)


@given(st.sampled_from([2, 4, 16, 64]), st.integers(2, 64), st.integers(0, 1 << 30))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_products_of_any_width(degree: int, bits: int, seed: int) -> None:
    drawn = stream(seed, "product")
    a, s = uniform(drawn, 1, degree, bits)[0], ternary(drawn, 1, degree)[0]
    expected = negacyclic(a.tolist(), s.tolist(), bits)
    assert [int(value) % (1 << bits) for value in multiplied(a, s, bits)] == expected


@pytest.mark.parametrize("lattice", LATTICES, ids=lambda lattice: f"{lattice.degree} {lattice.modulus_bits}")
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_factors_are_exact(lattice: Any, sign: int) -> None:
    """All coefficients as large as they can be, of one sign: the sum that float64 would lose first."""
    degree, bits = lattice.degree, exact_limb_bits(lattice.degree)
    a = torch.full((degree,), -(1 << (bits - 1)))
    found = multiplied(a, torch.full((degree,), sign), bits)
    places = torch.arange(degree)
    assert torch.equal(found, sign * a[0] * (2 * (places + 1) - degree))


@pytest.mark.parametrize("bits", [44, 60])
def test_a_factor_beyond_its_declared_width_is_noticed(bits: int) -> None:
    """The check behind the bound: sums that float64 rounds are refused."""
    drawn = stream(3, "wide")
    a = uniform(drawn, 1, 2048, bits)
    with pytest.raises(ArithmeticError, match="not exact"):
        product(spectrum(a, exact_limb_bits(2048)), spectrum(ternary(drawn, 1, 2048), 2))


def test_picked_coefficients() -> None:
    drawn = stream(4, "picked")
    a, s = spectrum(uniform(drawn, 3, 32, 44), 44), spectrum(ternary(drawn, 1, 32), 2)
    places = torch.tensor([0, 5, 16, 31])
    assert torch.equal(product(a, s, places), product(a, s)[:, places])


@given(st.integers(2, 64), st.integers(2, 33), st.integers(0, 1 << 30))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_limbs_make_up_their_value(bits: int, most: int, seed: int) -> None:
    values = uniform(stream(seed, "limbs"), 1, 64, bits)
    count, width = limb_width(bits, most)
    found = limbs(values, count, width)
    assert sum(limb.long() << (number * width) for number, limb in enumerate(found)).eq(values).all()
    assert max(float(limb.abs().max()) for limb in found) <= 2.0 ** (min(most, bits) - 1)


def test_rounding_is_to_the_nearest() -> None:
    values = torch.tensor([0, 7, 8, 23, 24, -8, -9, 2**43 - 1])
    assert rounded(values, 44, 40).tolist() == [0, 0, 1, 1, 2, 0, -1, -(2**39)]


def test_ternary_coefficients_are_equally_likely() -> None:
    counts = torch.bincount(ternary(stream(5, "ternary"), 1, DRAWN).flatten() + 1, minlength=3)
    assert len(counts) == 3
    assert chisquare(counts.numpy()).pvalue > 1e-4


def test_errors_are_centred_binomial() -> None:
    """The whole distribution, against binomial coefficients."""
    values = errors(stream(6, "errors"), (DRAWN,))
    assert float(values.double().std()) == pytest.approx(ERROR_DEVIATION, rel=0.01)
    counts = torch.bincount(values + ERROR_COINS // 2, minlength=ERROR_COINS + 1)
    expected = torch.tensor([math.comb(ERROR_COINS, heads) for heads in range(ERROR_COINS + 1)]).double()
    expected *= DRAWN / 2.0**ERROR_COINS
    inner = slice(9, ERROR_COINS - 8)
    scaled = expected[inner] * (counts[inner].sum() / expected[inner].sum())
    assert chisquare(counts[inner].numpy(), scaled.numpy()).pvalue > 1e-4


def test_how_much_of_a_stream_is_drawn_is_known() -> None:
    """No rejection: two parties that draw the same polynomials stay in step, and time says nothing of a secret."""
    draws = [stream(7, "steps") for _ in range(2)]
    ternary(draws[0], 3, 64), errors(draws[0], (5, 8)), uniform(draws[0], 2, 16, 44)
    draws[1].random_bytes(3 * 64 * 8 + 5 * 8 * ERROR_COINS // 8 + 2 * 16 * 44 // 8)
    assert torch.equal(*(drawn.random_bytes(64) for drawn in draws))


def test_the_smallest_lattice_with_room_is_taken() -> None:
    found = [lattice_for(widths) for widths in ([32, 41], [32, 42], [48], [49], [50], [70])]
    assert [lattice.modulus_bits for lattice in found] == [44, 51, 51, 52, 64, 64]


def test_every_lattice_has_128_bits_with_hints() -> None:
    """Masked weights with D's hints are judged by the next bit of log q; at N = 2048 the published 128 end at 53."""
    assert min(lattice.with_hints for lattice in LATTICES) >= LEAST_SECURITY == 128
    assert all(lattice.security_bits >= lattice.with_hints for lattice in LATTICES)
    assert max(lattice.modulus_bits for lattice in LATTICES if lattice.degree == 2048) + 1 <= 53


def test_hints_cost_the_square_root_of_two() -> None:
    """What parameters.py states of Hint-LWE: after 10,000 answers under the least noise (64 times a rounding error of
    0.3 units), of the default's last layer, with e' rounded to 40 of 51 bits."""
    rounding, unit = 2.0**11 / math.sqrt(12), 2.0 ** (51 - 41 + 14)
    assert rounding > math.sqrt(TERNARY_VARIANCE)
    left = hint_deviation(LATTICES[1], 10_000, rounding, 64 * 0.3 * unit)
    assert left == pytest.approx(ERROR_DEVIATION / math.sqrt(2), rel=0.01)


def test_a_product_without_a_ternary_factor_is_refused() -> None:
    """Limbs would be multiplied one by one, which is no product; small values would not be noticed otherwise."""
    a = spectrum(torch.ones(256, dtype=torch.int64), 44)
    assert len(a.values) > 1
    with pytest.raises(ProtocolError, match="takes a ternary factor"):
        product(a, a)
