"""Products of a solve without a dealer: held against polynomials by hand, plain products, and the stated errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from heads import accuracy, parties, plan_of, stream
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from solving import Said, converse

from smule_crypten.errors import ProtocolError, TrainingError
from smule_crypten.joint_head.cost import solve_cost
from smule_crypten.joint_head.integers import as_weights, own_inverse
from smule_crypten.joint_head.lattice_layout import Layout, cheapest
from smule_crypten.joint_head.lattice_products import (
    MOST_DEVIATION,
    SIZES,
    LatticeProducts,
    deviation,
    layout_of,
    least_ridge,
)
from smule_crypten.joint_head.plan import SolvePlan
from smule_crypten.joint_head.roles import GramRole, PreconditionerRole
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import Statistics
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.packing import unpack


def negacyclic(one: list[int], other: list[int]) -> list[int]:
    """The product modulo X^N + 1, by hand."""
    degree, found = len(one), [0] * len(one)
    for i, x in enumerate(one):
        for j, y in enumerate(other):
            sign = 1 if i + j < degree else -1
            found[(i + j) % degree] += sign * x * y
    return found


def kernel(layout: Layout, matrix: torch.Tensor, group: int, channel: int) -> list[int]:
    """K_gc as the layout's docstring says it."""
    found = [0] * layout.degree
    for row in range(layout.stacked):
        for i in range(layout.segment):
            r, d = group * layout.stacked + row, channel * layout.segment + i
            if r < layout.rows and d < layout.features:
                found[row * layout.segment + layout.segment - 1 - i] = int(matrix[r, d])
    return found


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 5),
    features=st.integers(1, 7),
    columns=st.integers(1, 4),
    shape=st.sampled_from(range(16)),
    seed=st.integers(0, 99),
)
def test_layout_is_that_of_polynomials_by_hand(rows: int, features: int, columns: int, shape: int, seed: int) -> None:
    """Coefficient by coefficient, of any way to stack rows and to put columns beside each other."""
    layout = Layout(16, rows, features, columns, 1 + shape // 4, 1 + shape % 4)
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randint(-9, 9, (rows, features), generator=generator)
    x = torch.randint(-9, 9, (features, columns), generator=generator)
    b = layout.polynomials(x)
    assert torch.equal(layout.collected(layout.times(matrix, b)), matrix @ x)
    a = torch.randint(-9, 9, (layout.channels, 16), generator=generator)
    expected = []
    for group in range(layout.groups):
        parts = [negacyclic(kernel(layout, matrix, group, c), a[c].tolist()) for c in range(layout.channels)]
        expected.append([sum(values) for values in zip(*parts, strict=True)])
    everywhere = layout.times_all(matrix, a)
    assert everywhere.tolist() == expected
    whole = a.expand(layout.blocks, layout.channels, 16)
    assert torch.equal(layout.times(matrix, whole)[0], everywhere[:, layout.places])


def test_cheapest_layout_stacks_rows() -> None:
    """For 1,281 features and 10 outputs, a fifth of the bytes of one polynomial a row goes into masked matrices."""
    plan = SolvePlan(rows=40_000, features=1281, outputs=10, ridge=0.1)
    layout = layout_of(plan, "inverse")
    assert layout.stacked > 1
    assert layout.beside == 10
    plain = Layout(4096, 1281, 1281, 10, 1, 10)
    assert layout.groups * 4 < plain.groups
    small = Layout(16, 3, 2, 1, 1, 1)
    assert cheapest(small, matrices=1, inputs=1, bits=(46, 60)).groups == 1
    assert cheapest(small, matrices=0, inputs=1, bits=(46, 60)).channels == 1


def pair(plan: SolvePlan, seed: int) -> tuple[LatticeProducts, LatticeProducts]:
    key = insecure_key(seed, "public")
    return LatticeProducts(plan, key, stream(seed, "owner")), LatticeProducts(plan, key, stream(seed, "other"))


def test_shares_of_a_product_are_off_by_no_more_than_stated() -> None:
    """Below 8 of the stated deviations, and not far below one: the figures of the budget are those of the code."""
    first, second = parties()
    plan = plan_of(first, second)
    matrix, layout = own_inverse(first, plan), layout_of(plan, "inverse")
    owner, other = pair(plan, 1)
    other.receive_mask("inverse", owner.mask("inverse", matrix))
    worst, squares = 0.0, []
    for seed in range(4):
        x = stream(seed, "x").bits((plan.features, plan.outputs), 30) - (1 << 29)
        x_owner = stream(seed, "share").ring_elements(tuple(x.shape))
        message = other.message("inverse", x - x_owner)
        total = owner.multiply("inverse", x_owner, message) + other.given("inverse")
        error = (total - ((matrix @ x) << SIZES.scale_bits)).double() / 2.0 ** (16 + SIZES.scale_bits)
        stated = deviation(layout, matrix)
        worst = max(worst, float(error.abs().max()) / stated)
        squares.append(float(error.square().mean().sqrt()) / stated)
    assert worst < 8
    assert 0.4 < sum(squares) / 4 < 1.1
    assert stated < 1


@settings(max_examples=25, deadline=None)
@given(
    features=st.integers(2, 200), outputs=st.integers(1, 12), iterations=st.integers(1, 60), ridge=st.floats(0.01, 9)
)
def test_least_ridge_is_the_least_that_no_inverse_is_refused_with(
    features: int, outputs: int, iterations: int, ridge: float
) -> None:
    """Rows of an inverse are longest, 1 / ridge, where an own feature never varies: then no error is above the limit.
    With nineteen twentieths of that ridge it would be. What ridge the plan has says nothing."""
    plan = SolvePlan(rows=1000, features=features, outputs=outputs, iterations=iterations, ridge=ridge)
    nothing = Statistics(
        1000,
        torch.zeros(features, features, dtype=torch.float64),
        torch.zeros(features, outputs, dtype=torch.float64),
    )
    least = least_ridge(plan)
    allowed, smaller = replace(plan, ridge=least), replace(plan, ridge=0.95 * least)
    assert least_ridge(allowed) == least
    assert deviation(layout_of(allowed, "inverse"), own_inverse(nothing, allowed)) <= MOST_DEVIATION
    assert deviation(layout_of(smaller, "inverse"), own_inverse(nothing, smaller)) > MOST_DEVIATION


def test_a_solve_is_right_with_the_least_ridge() -> None:
    """Errors of its products are largest there; six features of P's, whose rows share a polynomial, never vary."""
    first, second = parties(0.1, seed=1)
    varies_D = torch.ones(first.features, dtype=torch.float64)
    varies_D[18:24] = 0
    still = Statistics(first.rows, first.gram_DD * varies_D * varies_D[:, None], first.moments_DC * varies_D[:, None])
    plan = plan_of(still, second, bound=200.0, iterations=40)
    plan = replace(plan, ridge=least_ridge(plan))
    owner, other = pair(plan, 5)
    P = PreconditionerRole(plan, still, products=owner, local=stream(5, "P"), common=stream(5, "common"))
    Q = GramRole(plan, second, products=other, local=stream(5, "Q"), common=stream(5, "common"))
    share_P, share_Q, _ = converse(P, Q)
    joint = still + second
    error = as_weights(share_P + share_Q) - exact_head(joint, plan.ridge * plan.rows)
    off = float((error * (joint.gram_DD @ error)).sum(dim=0).mean().div(joint.rows).sqrt())
    assert deviation(layout_of(plan, "inverse"), own_inverse(still, plan)) > 0.9 * MOST_DEVIATION
    assert len(P.opened) == 1
    assert off < 0.02


def test_solve_without_a_dealer_is_as_good_as_the_exact_head() -> None:
    """The same roles, another kind of products: same head, exact cost, no dealer."""
    first, second = parties(0.1, seed=1)
    plan = plan_of(first, second)
    share_P, share_Q, said = solve_alone(plan, seed=4)
    weights = as_weights(share_P + share_Q)
    exact = exact_head(first + second, plan.ridge * plan.rows)
    torch.testing.assert_close(weights, exact, atol=0.02, rtol=0)
    assert abs(accuracy(weights) - accuracy(exact)) < 0.006
    cost_P, cost_Q = solve_cost(plan, LatticeProducts)
    sent = [sum(one.post.data.nbytes for one in said if one.by_first is by) for by in (True, False)]
    assert [cost_P.bytes_sent, cost_Q.bytes_sent] == sent
    assert cost_P.dealer_bytes == cost_Q.dealer_bytes == 0


def solve_alone(plan: SolvePlan, seed: int) -> tuple[torch.Tensor, torch.Tensor, list[Said]]:
    first, second = parties(0.1, seed=1, features=plan.features - 1)
    owner, other = pair(plan, seed)
    P = PreconditionerRole(plan, first, products=owner, local=stream(seed, "P"), common=stream(seed, "common"))
    Q = GramRole(plan, second, products=other, local=stream(seed, "Q"), common=stream(seed, "common"))
    return converse(P, Q)


def test_messages_look_uniform() -> None:
    """What a mistake in masking would show at once: one value of one coefficient, over many coefficients."""
    first, second = parties(0.1, seed=1, features=2)
    plan = plan_of(first, second, iterations=2, probes=2, tolerance=1e3)
    _, _, said = solve_alone(plan, seed=6)
    whole = [one for one in said if one.post.layer != "check"]
    assert len(whole) == 3 + 1 + 2 * 2 + 1
    for one in whole:
        data = one.post.data[: len(one.post.data) // 2]
        counts = torch.bincount(data.long(), minlength=256).double()
        statistic = float(((counts - len(data) / 256).square() / (len(data) / 256)).sum())
        assert chi2.isf(1 - 1e-6, df=255) < statistic < chi2.isf(1e-6, df=255)


def test_masks_serve_once() -> None:
    """The same matrix under the same public polynomials, or a share twice, would give differences away."""
    first, second = parties(features=5)
    plan = plan_of(first, second)
    owner, other = pair(plan, 2)
    inverse = own_inverse(first, plan)
    other.receive_mask("inverse", owner.mask("inverse", inverse))
    with pytest.raises(ProtocolError, match="masked once"):
        owner.mask("inverse", inverse)
    message = other.message("inverse", torch.zeros(plan.features, plan.outputs, dtype=torch.int64))
    other.given("inverse")
    with pytest.raises(ProtocolError, match="asked for twice"):
        other.given("inverse")
    with pytest.raises(ProtocolError, match="bytes where"):
        owner.multiply("inverse", torch.zeros(plan.features, plan.outputs, dtype=torch.int64), message[1:])


def test_fresh_secrets_for_every_product() -> None:
    """Two messages of the same share have nothing in common."""
    first, second = parties(features=5)
    plan = plan_of(first, second)
    _, other = pair(plan, 2)
    zeros = torch.zeros(plan.features, plan.outputs, dtype=torch.int64)
    one, two = (unpack(other.message("gram", zeros)[: 4096 * 7], 4096 * 7 // 8, 64) for _ in range(2))
    assert int((one == two).sum()) == 0


def test_a_matrix_that_is_too_large_is_refused() -> None:
    """Its errors would be a visible part of the head."""
    first, second = parties(features=5)
    plan = plan_of(first, second)
    owner, _ = pair(plan, 3)
    large = torch.full((6, 6), 1 << 28)
    assert deviation(layout_of(plan, "gram"), large) > MOST_DEVIATION
    with pytest.raises(TrainingError, match="times as large as errors"):
        owner.mask("gram", large)
