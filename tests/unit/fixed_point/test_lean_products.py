from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lean_oracle import RING, Pair, convolved, residues, window_sums

from smule_crypten.fixed_point.products import LIMB_BITS, MAX_FAN_IN, exact_sums, limb_product, multiply
from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import SumPool

BITS = st.sampled_from([1, 12, 16, 17, 32, 33, 48, 64])
SEEDS = st.integers(0, 1 << 32)


def ring_tensor(generator: random.Random, shape: tuple[int, ...], bits: int) -> torch.Tensor:
    """Uniform, of so many bits, in two's complement."""
    values = torch.tensor(
        [generator.randrange(-(1 << (bits - 1)), 1 << (bits - 1)) for _ in range(int(np.prod(shape)))]
    )
    return values.view(shape)


def conv(
    outputs: int, inputs: int, kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1),
    groups: int = 1,
) -> arch.Conv2d:  # fmt: skip
    return arch.Conv2d(
        name="conv", inputs=(-1,), weight_shape=(outputs * groups, inputs, *kernel), stride=stride, padding=padding,
        dilation=dilation, groups=groups, bias=False,
    )  # fmt: skip


def small_pair(low: int, high: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[arch.Conv2d, torch.Tensor, torch.Tensor]:
    """An operation with images and a kernel; both of any number of bits."""
    kernel, dilation, padding = draw(small_pair(1, 3)), draw(small_pair(1, 2)), draw(small_pair(0, 2))
    reach = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
    size = [draw(st.integers(max(1, reach[axis] - 2 * padding[axis]), 7)) for axis in (0, 1)]
    op = conv(
        draw(st.integers(1, 2)), draw(st.integers(1, 2)), kernel, draw(small_pair(1, 3)), padding, dilation,
        draw(st.integers(1, 3)),
    )  # fmt: skip
    generator = random.Random(draw(SEEDS))
    x = ring_tensor(generator, (draw(st.integers(1, 2)), op.weight_shape[1] * op.groups, *size), draw(BITS))
    return op, x, ring_tensor(generator, op.weight_shape, draw(BITS))


def by_limbs(op: arch.Conv2d, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return limb_product(lambda a, b: F.conv2d(a, b, None, op.stride, op.padding, op.dilation, op.groups), x, weight)


@given(convolutions())
@settings(derandomize=True, deadline=None, max_examples=60)
def test_convolution(case: tuple[arch.Conv2d, torch.Tensor, torch.Tensor]) -> None:
    """Any stride, padding, dilation and groups: both ways of multiplying are right in the whole ring of 2^64, and so
    in every smaller one.
    """
    op, x, weight = case
    expected = convolved(op, x, weight)
    assert (residues(multiply(op, x, weight)) == expected).all()
    assert (residues(by_limbs(op, x, weight)) == expected).all()


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 5), BITS, BITS, SEEDS)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_linear(batch: int, fan_in: int, outputs: int, bits: int, more: int, seed: int) -> None:
    """The same for a fully connected layer."""
    op = arch.Linear(name="linear", inputs=(-1,), weight_shape=(outputs, fan_in), bias=False)
    generator = random.Random(seed)
    x, weight = ring_tensor(generator, (batch, fan_in), bits), ring_tensor(generator, (outputs, fan_in), more)
    expected = residues(x).dot(residues(weight).T) % RING
    assert (residues(multiply(op, x, weight)) == expected).all()
    assert (residues(limb_product(F.linear, x, weight)) == expected).all()


@given(convolutions(), small_pair(1, 3), small_pair(1, 3), st.booleans(), small_pair(0, 1), st.data())
@settings(derandomize=True, deadline=None, max_examples=80)
def test_pooled_convolution(
    case: tuple[arch.Conv2d, torch.Tensor, torch.Tensor], kernel: Pair, stride: Pair, tiles: bool, pad: Pair, data: Any
) -> None:
    """Sums over windows after a convolution, where they fold into its kernel (windows side by side) and where not."""
    op, x, weight = case
    stride = kernel if tiles else stride
    padding = (min(pad[0], kernel[0] // 2), min(pad[1], kernel[1] // 2))
    images = convolved(op, x, weight)
    size = images.shape[2:]
    kernel = (min(kernel[0], size[0] + 2 * padding[0]), min(kernel[1], size[1] + 2 * padding[1]))
    pool = arch.AvgPool2d(
        name="pool",
        inputs=(0,),
        kernel=kernel,
        stride=stride,
        padding=padding,
        count_include_pad=data.draw(st.booleans()),
    )
    result = multiply(op, x, weight, SumPool(pool, size))
    assert (residues(result) == window_sums(pool, images)[0] % RING).all()


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (6, 3)])
def test_adaptively_pooled_convolution(size: Pair) -> None:
    """A global or adaptive pooling after a convolution is its sums too."""
    op = conv(2, 2, (3, 3), padding=(1, 1))
    generator = random.Random(5)
    x, weight = ring_tensor(generator, (2, 2, *size), 64), ring_tensor(generator, op.weight_shape, 64)
    pool = arch.AdaptiveAvgPool2d(name="pool", inputs=(0,), output_size=(1, 1))
    expected = convolved(op, x, weight).sum((2, 3), keepdims=True) % RING
    assert (residues(multiply(op, x, weight, SumPool(pool, size))) == expected).all()


ALL_ONES = (1 << LIMB_BITS) - 1


@pytest.mark.parametrize("fan_in", [512 * 3 * 3, 25088, MAX_FAN_IN])
def test_largest_limbs(fan_in: int) -> None:
    """Limbs of all ones at the largest fan-in of the zoo (the first fully connected layer of VGG, its widest
    convolution) and at the bound itself: no sum of products is ever rounded.
    """
    x, weight = torch.full((1, fan_in), -1), torch.full((1, fan_in), -1)
    assert residues(limb_product(F.linear, x, weight)).item() == fan_in
    x[:], weight[:] = ALL_ONES, ALL_ONES
    weight[0, 0] = ALL_ONES - 1
    assert limb_product(F.linear, x, weight).item() == fan_in * ALL_ONES**2 - ALL_ONES


def test_largest_limbs_of_a_convolution() -> None:
    """The same through PyTorch's convolution, whose order of summation is another."""
    op = conv(1, 512, (3, 3), padding=(1, 1))
    x, weight = torch.full((1, 512, 4, 4), -1), torch.full(op.weight_shape, -1)
    counts = F.conv2d(torch.ones(1, 512, 4, 4), torch.ones(op.weight_shape), padding=1).long()
    assert torch.equal(by_limbs(op, x, weight), counts)
    x[:], weight[:] = ALL_ONES, ALL_ONES - 1
    assert torch.equal(by_limbs(op, x, weight), counts * ALL_ONES * (ALL_ONES - 1))


def test_fan_in_beyond_the_bound() -> None:
    """A sum that float64 could round is refused, not computed."""
    fan_in = MAX_FAN_IN + 1
    with pytest.raises(ValueError, match=str(MAX_FAN_IN)):
        limb_product(F.linear, torch.ones(1, fan_in, dtype=torch.int64), torch.ones(1, fan_in, dtype=torch.int64))


def test_exact_sums_beside_a_chosen_precision() -> None:
    """A program that chose a precision for convolutions alone goes on, and keeps it and its other switches."""
    convolutions, enabled = torch.backends.cudnn.conv, torch.backends.cudnn.enabled
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        with exact_sums():
            assert not torch.backends.cudnn.enabled
        assert torch.backends.cudnn.enabled is enabled
        assert convolutions.fp32_precision == "ieee"
    finally:
        convolutions.fp32_precision = before
