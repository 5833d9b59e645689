"""The head in the clear, exact and in the protocol's integers: held against NumPy and against plain integers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from heads import RIDGE, accuracy, integers, parties, plan_of, stream
from hypothesis import given, settings
from hypothesis import strategies as st

from smule_crypten.errors import TrainingError
from smule_crypten.joint_head.integers import (
    as_weights,
    own_gram,
    own_matrix,
    own_probes,
    rounded_down,
    rounded_up,
    rounded_with,
)
from smule_crypten.joint_head.plan import CONSTANT_BITS, Attempt
from smule_crypten.joint_head.solve_in_clear import Range, exact_head, solve
from smule_crypten.joint_head.statistics import Statistics, StatisticsSum


def largest_eigenvalue(first: Statistics, second: Statistics, rows: int) -> float:
    """Of A, by NumPy."""
    matrix = first.gram_DD.numpy() / rows + RIDGE * np.eye(first.features)
    return float(1 + np.linalg.eigvals(np.linalg.solve(matrix, second.gram_DD.numpy() / rows)).real.max())


def size(matrix_DD: torch.Tensor, values_DC: torch.Tensor) -> float:
    """Root of the mean over outputs of v^T M v."""
    return float((values_DC * (matrix_DD @ values_DC)).sum(dim=0).mean().sqrt())


@pytest.mark.parametrize("attempt", [Attempt(32.0, 14), Attempt(8.0, 5), Attempt(64.0, 20)])
def test_coefficients_are_those_of_chebyshev_polynomials(attempt: Attempt) -> None:
    """By NumPy's polynomials: what is left of B where A is a number, within the rounding of the public numbers."""
    middle, half = (attempt.bound + 1) / 2, (attempt.bound - 1) / 2
    polynomial = np.polynomial.Chebyshev.basis(attempt.iterations)
    for eigenvalue in np.linspace(1, attempt.bound, 9):
        step, x, left = 0.0, 0.0, 1.0
        for repeat, along in attempt.coefficients:
            step = (step * repeat + left * along) / (1 << CONSTANT_BITS)
            x += step
            left = 1 - eigenvalue * x
        expected = polynomial((middle - eigenvalue) / half) / polynomial(middle / half)
        assert abs(left - expected) < 0.01
        assert abs(expected) <= attempt.remainder * (1 + 1e-9)
    assert abs(polynomial(1.0) / polynomial(middle / half)) == pytest.approx(attempt.remainder)


def test_second_attempt_is_as_thorough_with_twice_the_bound() -> None:
    """More iterations make up for the wider interval."""
    first, second = plan_of(*parties()).attempts
    assert (first.bound, second.bound, second.iterations) == (32.0, 64.0, 20)
    assert second.remainder < first.remainder < 0.014


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), features=st.integers(1, 12), outputs=st.integers(1, 4), more=st.integers(1, 4))
def test_integers_come_as_near_as_the_bound_says(seed: int, features: int, outputs: int, more: int) -> None:
    """On random rows: off numpy.linalg.solve by no more than what Chebyshev leaves, and some units of rounding."""
    rng = np.random.default_rng(seed)
    sums = []
    for rows in (20 * more, 20):
        total = StatisticsSum(features, outputs, clip_norm=4.0)
        x, y = (
            rng.normal(size=(rows, features)) * rng.uniform(0.2, 2, features),
            rng.uniform(-0.5, 0.5, (rows, outputs)),
        )
        total.add(torch.tensor(x), torch.tensor(y))
        sums.append(total.total())
    first, second = sums
    plan = plan_of(first, second)
    attempt = plan.attempts[0]
    if largest_eigenvalue(first, second, plan.rows) > attempt.bound:
        return
    found = solve(*integers(first, second, plan), attempt, stream(seed, "shares").ring_elements)
    joint, matrix = first + second, own_matrix(first, plan)
    regularised = joint.gram_DD.numpy() / plan.rows + RIDGE * np.eye(joint.features)
    expected = torch.tensor(np.linalg.solve(regularised, joint.moments_DC.numpy() / plan.rows))
    torch.testing.assert_close(exact_head(joint, RIDGE * joint.rows), expected)
    right = torch.linalg.solve(matrix, joint.moments_DC / plan.rows)
    left = size(matrix, as_weights(found.left_DC))
    assert left <= 1.05 * attempt.remainder * size(matrix, right) + 1e-3
    error = as_weights(found.weights_DC) - expected
    assert size(joint.gram_DD / plan.rows, error) <= left + 1e-3
    assert found.range.wraps() < 1e-4


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_joint_head_is_as_good_as_the_exact_one_however_the_digits_are_split(alpha: float) -> None:
    """And far better than the head of either party alone: what all of this is for."""
    first, second = parties(alpha)
    plan = plan_of(first, second)
    found = solve(*integers(first, second, plan), plan.attempts[0], stream(1, "shares").ring_elements)
    exact = accuracy(exact_head(first + second, RIDGE * plan.rows))
    assert abs(accuracy(as_weights(found.weights_DC)) - exact) < 0.006
    assert exact > 0.05 + max(accuracy(exact_head(one, RIDGE * one.rows)) for one in (first, second))
    assert found.range.count == (1 + 3 * plan.iterations) * plan.features * plan.outputs
    assert found.range.largest_bits < 37


def test_what_is_left_is_computed_anew_from_the_weights() -> None:
    """A number that wrapped half way must show at the end: the residual is that of the weights, not of a recurrence."""
    first, second = parties()
    plan = plan_of(first, second)
    inverse, gram, moments_P, moments_Q = integers(first, second, plan)
    draw, calls = stream(2, "shares").ring_elements, itertools.count()

    def shares(shape: tuple[int, ...]) -> torch.Tensor:
        share = draw(shape)
        if next(calls) == 3 * plan.iterations - 1:  # the last product of G_Q
            share[:, 0] = (1 << 63) - 1  # wraps with every negative number
        return share

    good = solve(inverse, gram, moments_P, moments_Q, plan.attempts[0], draw)
    bad = solve(inverse, gram, moments_P, moments_Q, plan.attempts[0], shares)
    matrix = own_matrix(first, plan)
    assert size(matrix, as_weights(good.left_DC)) < 0.01
    assert size(matrix, as_weights(bad.left_DC)) > 1e3


def test_a_bound_that_is_too_small_leaves_much() -> None:
    """The check has something to see: far beyond the tolerance, where the right bound stays far below it."""
    first, second = parties(0.1, seed=1)
    plan = plan_of(first, second, bound=2.5)
    assert largest_eigenvalue(first, second, plan.rows) > 6
    sides, matrix = integers(first, second, plan), own_matrix(first, plan)
    short = solve(*sides, plan.attempts[0], stream(3, "shares").ring_elements)
    assert size(matrix, as_weights(short.left_DC)) > 20 * plan.tolerance
    wide = plan_of(first, second)
    found = solve(*sides, wide.attempts[0], stream(3, "shares").ring_elements)
    assert size(matrix, as_weights(found.left_DC)) < wide.tolerance / 10


@settings(max_examples=200, deadline=None)
@given(z=st.integers(-(2**50), 2**50), share=st.integers(-(2**63), 2**63 - 1), bits=st.integers(1, 20))
def test_rounding_is_that_of_plain_integers(z: int, share: int, bits: int) -> None:
    """floor((z + 2^bits - 1 - low bits of the share) / 2^bits), but off by 2^(64 - bits) if the other share wraps."""
    rho = share % (1 << bits)
    expected = (z + (1 << bits) - 1 - rho) >> bits
    other = z - share
    if other >= 1 << 63:
        other -= 1 << 64
        expected -= 1 << (64 - bits)
    elif other < -(1 << 63):
        expected += 1 << (64 - bits)
    if other == -(1 << 63):
        return  # its own negative: one of 2^64 shares
    first = torch.tensor([share])
    assert int(rounded_with(torch.tensor([z]), first, bits)) == expected
    second = torch.tensor([(other + 2**63) % 2**64 - 2**63])
    assert int(rounded_down(first, bits) + rounded_up(second, bits)) == expected


def test_rounding_is_exact_in_the_mean() -> None:
    """No half unit needs to be added: where rho is uniform, what was cut off is the probability of one more."""
    z = torch.arange(-40, 41)
    mean = sum(rounded_with(z, torch.full_like(z, rho), 4).double() for rho in range(16)) / 16
    assert torch.equal(mean, z.double() / 16)


def test_probes_see_the_norm_that_bounds_the_error_of_outputs() -> None:
    """Over numbers of mean 0 and variance 1, here all signs, the mean square of a probe is r^T M r."""
    first, second = parties(features=5)
    plan = plan_of(first, second)
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=6)), dtype=torch.float64)
    probes = own_probes(first, plan, signs).double() / 2**16
    r = torch.linspace(-1, 1, 6, dtype=torch.float64).unsqueeze(1)
    assert float((probes @ r).square().mean()) == pytest.approx(float(r.T @ own_matrix(first, plan) @ r), rel=1e-3)


def test_expected_wraps_follow_from_sizes() -> None:
    """The figure of the budget, by hand; and it doubles with each bit that a ring has less."""
    seen = Range()
    seen.see(torch.tensor([-(1 << 40), 1 << 40]))
    seen.see(torch.tensor([1 << 41]))
    assert (seen.largest_bits, seen.count, seen.wraps(), seen.wraps(63)) == (41.0, 3, 2.0**-22, 2.0**-21)


def test_sums_that_leave_the_ring_are_refused() -> None:
    """Features that were never standardised end with one line, not with a head of noise."""
    first, second = parties(features=5)
    with pytest.raises(TrainingError, match="standardise the features"):
        own_gram(Statistics(first.rows, first.gram_DD * 1e9, first.moments_DC), plan_of(first, second))
    with pytest.raises(ValueError, match="bound is above 1"):
        plan_of(first, second, bound=math.nan)
