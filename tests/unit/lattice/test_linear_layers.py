"""Each kind of linear layer, both sides, against torch's operations on integers, up to the error that is stated."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_harness import SMALL, Sides, plan_of, program_of, small_weights, uniform_values, worst_error
from torch import nn

from smule_crypten.errors import UnshareableModelError
from smule_crypten.lattice.grid import Axis, fit
from smule_crypten.lattice.packing_plan import plan_lattice
from smule_crypten.lattice.parameters import ERROR_DEVIATION, LATTICES, TERNARY_VARIANCE, Lattice
from smule_crypten.mpc.packing import signed

MOST = 6.0
"""Deviations: a few thousand values stay below with a probability above 1 - 1e-5, for each seed once and for all."""


def pair(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def layers(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, ...]]:
    """A convolution with or without pooling, and the shape of its input."""
    kernel, dilation, padding, stride = (draw(pair(*ends)) for ends in ((1, 3), (1, 2), (0, 3), (1, 3)))
    reach = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
    size = tuple(draw(st.integers(max(1, reach[axis] - 2 * padding[axis]), 14)) for axis in (0, 1))
    groups = draw(st.integers(1, 2))
    inputs, outputs = (groups * draw(st.integers(1, 2)) for _ in range(2))
    modules: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)]
    after = [(size[axis] + 2 * padding[axis] - reach[axis]) // stride[axis] + 1 for axis in (0, 1)]
    window = draw(pair(1, 3))
    if draw(st.booleans()) and all(after[axis] >= window[axis] for axis in (0, 1)):
        modules.append(nn.AvgPool2d(window, draw(st.sampled_from([window, (1, 2)]))))
    return nn.Sequential(*modules), (inputs, *size)


def hidden(layer: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """The layer behind another one, whose result is held in shares."""
    before: nn.Module = nn.Conv2d(shape[0], shape[0], 1, groups=shape[0], bias=False)
    if len(shape) == 1:
        before = nn.Linear(shape[0], shape[0], bias=False)
    elif len(shape) == 2:
        before = nn.Conv1d(shape[0], shape[0], 1, groups=shape[0], bias=False)
    return nn.Sequential(before, nn.ReLU(), layer)


@given(layers(), st.integers(1, 5), st.booleans(), st.integers(0, 1 << 30))
@settings(derandomize=True, deadline=None, max_examples=80)
def test_any_convolution(case: tuple[nn.Module, tuple[int, ...]], images: int, is_hidden: bool, seed: int) -> None:
    """Stride, padding, dilation, groups, pooling; images that fit, and images that are cut into tiles."""
    layer, shape = case
    program = program_of(hidden(layer, shape) if is_hidden else nn.Sequential(layer), shape)
    plan = plan_of(program, images)
    assert worst_error(program, plan, small_weights(program, seed), images, seed) < MOST


@given(st.integers(1, 300), st.integers(1, 4), st.integers(1, 5), st.integers(0, 1 << 30))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_any_fully_connected_layer(inputs: int, outputs: int, images: int, seed: int) -> None:
    """Several samples in a polynomial, and several polynomials for a long one."""
    program = program_of(hidden(nn.Linear(inputs, outputs, bias=False), (inputs,)), (inputs,))
    assert worst_error(program, plan_of(program, images), small_weights(program, seed), images, seed) < MOST


class Residual(nn.Module):
    """Two convolutions of one value."""

    def __init__(self, shortcut: nn.Module) -> None:
        super().__init__()
        self.first, self.conv, self.shortcut = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 3, 3, 2, 1), shortcut

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.first(x))
        return self.conv(x) + self.shortcut(x)


OVERLAPPING = nn.Sequential(nn.Conv2d(4, 3, 3, 1, 1), nn.AvgPool2d(3, 2, 1))


@pytest.mark.parametrize(
    ("shortcut", "hand_overs"),
    [
        (nn.Conv2d(4, 3, 1, 2), 2),
        (nn.Sequential(nn.Conv2d(4, 3, 2, 1, 1), nn.AvgPool2d(2)), 2),
        (OVERLAPPING, 3),
    ],
    ids=["1x1 with stride", "pooling folded into the kernel", "windows elsewhere"],
)
def test_a_residual_convolution_takes_what_was_handed_over(shortcut: nn.Module, hand_overs: int) -> None:
    """Two products whose windows have the same places cost one hand-over; others one each."""
    program = program_of(Residual(shortcut), (2, 10, 10))
    plan = plan_of(program, 3)
    assert len(plan.hand_overs) == hand_overs
    assert worst_error(program, plan, small_weights(program, 1), 3) < MOST


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(2, 3, 5, 2, 4, 2, bias=False), (2, 500)),
        (nn.Conv1d(4, 4, 3, padding=1, groups=4, bias=False), (4, 30)),
        (nn.Conv2d(2, 2, 3, padding=1, bias=False), (2, 20, 40)),
        (nn.Conv2d(2, 2, 1, 2, bias=False), (2, 16, 16)),
        (nn.Conv2d(2, 2, 3, 2, padding=2, dilation=2, bias=False), (2, 16, 16)),
        (nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.AvgPool2d(3, 2, 1)), (2, 9, 9)),
        (nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1)), (2, 8, 8)),
    ],
    ids=["series", "depthwise", "tiles", "1x1 with stride", "dilation as stride", "windows that overlap", "global"],
)
def test_a_layer_of_each_kind(layer: nn.Module, shape: tuple[int, ...]) -> None:
    program = program_of(hidden(layer, shape), shape)
    assert worst_error(program, plan_of(program, 3), small_weights(program, 2), 3) < MOST


def reference() -> nn.Module:
    blocks = [
        module
        for inputs, outputs in ((3, 16), (16, 32), (32, 64))
        for module in (nn.Conv2d(inputs, outputs, 3, padding=1), nn.AvgPool2d(2), nn.ReLU())
    ]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(1024, 10))


@pytest.mark.parametrize("lattice", LATTICES[1:], ids=lambda lattice: f"{lattice.degree}")
def test_the_reference_network(lattice: Lattice) -> None:
    """Lattices of full size."""
    program = program_of(reference(), (3, 32, 32))
    plan = plan_lattice(program, 4, 3, lattice=lattice)
    assert worst_error(program, plan, small_weights(program, 3), 4) < MOST


def test_a_ring_of_64_bits() -> None:
    """The widest ring: residues modulo 2^64, where Delta is 1. Products are as exact as stated, though no plan takes it
    outside of tests: nothing is left for guard bits."""
    program = program_of(reference(), (3, 32, 32), precision_bits=20, ring_bits=60)
    plan = plan_lattice(program, 2, 3, insecure_lattice=LATTICES[-1])
    assert plan.hand_overs[-1].ring == 64
    assert worst_error(program, plan, small_weights(program, 4), 2) < MOST


def test_error_has_the_deviation_that_is_stated() -> None:
    """Neither smaller nor larger: of a hidden layer, 4,096 values at once."""
    program = program_of(hidden(nn.Conv2d(4, 1, 3, padding=1, bias=False), (4, 16, 16)), (4, 16, 16))
    plan = plan_lattice(program, 16, 3, lattice=LATTICES[1])
    weights = small_weights(program, 5, bits=18)
    sides = Sides(plan, weights)
    hand_over, (product,) = plan.hand_overs[1], plan.hand_overs[1].products
    data_owner, model_owner = sides.batch(16)
    x = torch.zeros(16, 4, 16, 16, dtype=torch.int64)
    shares = model_owner.multiply(1, data_owner.hand_over(1, x), x)
    unit = 2.0 ** (51 - hand_over.ring + product.step.fraction)
    error = (shares[product.name] + data_owner.shares[product.name]).double() / unit
    stated = plan.deviation(hand_over, product, float(weights[product.name].double().norm()))
    assert float(error.std()) == pytest.approx(stated, rel=0.1)
    assert abs(float(error.mean())) < 0.1 * stated


@pytest.mark.parametrize("bits", [0, 12], ids=["errors of c1 and p", "errors of b"])
def test_every_error_is_there(bits: int) -> None:
    """Where nothing is rounded, the errors that hide what is sent show alone: with weights of zero those of c1 and p,
    each half of the variance; else those of b. All windows of 2x2 pixels take 4 pixels and 5 coefficients of padding.
    """
    layer = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
    program = program_of(hidden(layer, (4, 2, 2)), (4, 2, 2))
    plan = plan_lattice(program, 256, 3, guard_bits=20, insecure_lattice=Lattice(SMALL.degree, 35, 0.0, SMALL.source))
    hand_over, (product,) = plan.hand_overs[1], plan.hand_overs[1].products
    assert {hand_over.value_bits, product.c1_bits, plan.p_bits} == {35}
    weights = {step.name: torch.zeros(step.weighted.weight_shape, dtype=torch.int64) for step in program.products}
    if bits:
        weights[product.name] = uniform_values(7, product.step.weighted.weight_shape, bits)
    data_owner, model_owner = Sides(plan, weights).batch(256)
    x = torch.zeros(256, 4, 2, 2, dtype=torch.int64)
    shares = model_owner.multiply(1, data_owner.hand_over(1, x), x)
    error = signed(shares[product.name] + data_owner.shares[product.name], 35).double()
    if bits:
        norms = weights[product.name].double().flatten(1).norm(dim=1)
        expected = ERROR_DEVIATION * norms
        assert torch.allclose(error.std(dim=(0, 2, 3)), expected, rtol=0.1)
    else:
        expected_std = ERROR_DEVIATION * (2 * TERNARY_VARIANCE * SMALL.degree) ** 0.5
        assert float(error.std()) == pytest.approx(expected_std, rel=0.1)
        stated = plan.deviation(hand_over, product, 0.0) * 2.0 ** (35 - hand_over.ring + product.step.fraction)
        assert stated == pytest.approx(expected_std)


def test_a_window_larger_than_a_polynomial_is_refused() -> None:
    axis = Axis(50, 2, 1, 0, tuple(range(20)))
    with pytest.raises(UnshareableModelError, match=r"layer c1.*window of 20 x 20 pixels.*smaller kernel"):
        fit("c1", axis, axis, 256)
