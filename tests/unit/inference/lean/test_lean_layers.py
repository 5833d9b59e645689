"""Layers and whole networks, bit for bit against plain integers, under weights that leave truncation no rest."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lean_harness import evaluate, lean_config
from lean_networks import NETWORKS, SHAPE, UNEQUAL_WINDOWS
from lean_oracle import RING, Weights, convolved, integers, program_values, residues
from torch import nn

from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.program import Program
from smule_crypten.models.architecture import Conv2d
from smule_crypten.models.translate import translate


def lowered(model: nn.Module, shape: tuple[int, int, int] = SHAPE, **options: int) -> Program:
    return lower(translate(model, shape).architecture, lean_config(**options))


def whole_weights(program: Program, largest: int, seed: int) -> Weights:
    """Integer weights and biases that are multiples of what the next truncation drops."""
    generator = torch.Generator().manual_seed(seed)
    weights: Weights = {}
    for step in program.products:
        op, unit = step.weighted, 1 << step.fraction
        weight, bias = (
            torch.randint(-largest, largest + 1, shape, generator=generator) * unit
            for shape in (op.weight_shape, op.weight_shape[:1])
        )
        weights[step.name] = weight, bias if op.bias else None
    return weights


@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("block_bits", [3, 4])
def test_network(name: str, block_bits: int) -> None:
    """Every way in which layers meet: the opened integers are those of plain integer arithmetic, bit for bit."""
    program = lowered(NETWORKS[name](), ring_bits=56, precision_bits=8, block_bits=block_bits)
    x = torch.randint(-9, 10, (2, *SHAPE), generator=torch.Generator().manual_seed(block_bits))
    weights = whole_weights(program, 2, seed=block_bits)
    expected = program_values(program, x, weights)[-1]
    assert any(expected.flat)
    assert max(abs(value) for value in expected.flat) < 1 << (program.output.ring - 1)
    assert (integers(evaluate(program, x, weights)) == expected).all()


@pytest.mark.parametrize("name", sorted(UNEQUAL_WINDOWS))
def test_unequal_windows(name: str) -> None:
    """Sums over windows of different size times their public integers, up to the truncation that follows, are exact;
    with it, what reaches the next layer is a neighbour of the quotient.
    """
    whole = lowered(UNEQUAL_WINDOWS[name](), ring_bits=48, precision_bits=8)
    x = torch.randint(-99, 100, (2, *SHAPE), generator=torch.Generator().manual_seed(3))
    weights = whole_weights(whole, 2, seed=5)
    last = next(position for position, step in enumerate(whole.steps) if step.kind == "weight")
    program = Program(whole.steps[: last + 1], whole.input_bits)
    expected = program_values(program, x, weights)[-1]
    assert (integers(evaluate(program, x, weights)) == expected).all()
    after = Program(whole.steps[: last + 2], whole.input_bits)
    assert after.output.kind in ("relu", "truncate")
    unit = 1 << program.output.fraction
    found = integers(evaluate(after, x, weights))
    low, high = expected // unit, -(-expected // unit)
    if after.output.kind == "relu":
        low, high = low * (low > 0), high * (high > 0)
    assert ((found == low) | (found == high)).all()


@st.composite
def single_layers(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, int, int]]:
    """A linear layer or a convolution, perhaps with a pooling behind it."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(4, 7)), draw(st.integers(4, 7)))
    if draw(st.booleans()):
        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], draw(st.integers(1, 4)))), shape
    depthwise, bias = draw(st.booleans()), draw(st.booleans())
    kernel, padding, dilation = draw(st.integers(1, 2)), draw(st.integers(0, 2)), draw(st.integers(1, 2))
    outputs = shape[0] * draw(st.integers(1, 2)) if depthwise else draw(st.integers(1, 3))
    layers: list[nn.Module] = [
        nn.Conv2d(
            shape[0], outputs, kernel, draw(st.integers(1, 2)), padding, dilation, shape[0] if depthwise else 1, bias
        )
    ]
    size = layers[0](torch.zeros(1, *shape)).shape[2:]
    window = draw(st.integers(1, min(3, *size)))
    layers += draw(st.sampled_from([[], [nn.AvgPool2d(window)], [nn.AvgPool2d(window, 1)], [nn.AdaptiveAvgPool2d(1)]]))
    return nn.Sequential(*layers), shape


@given(single_layers(), st.integers(16, 64), st.integers(0, 1 << 32))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_single_layer_in_the_ring(layer: tuple[nn.Module, tuple[int, int, int]], ring_bits: int, seed: int) -> None:
    """Any layer, any weights, any inputs, however large: without an opening the result is exact in its ring."""
    model, shape = layer
    program = lowered(model, shape, ring_bits=ring_bits, precision_bits=6)
    ring = program.output.ring
    assert ring >= ring_bits
    generator = random.Random(seed)

    def anything(size: tuple[int, ...]) -> torch.Tensor:
        return torch.tensor([generator.getrandbits(64) - RING // 2 for _ in range(torch.Size(size).numel())]).view(size)

    x = anything((2, *shape))
    (product,) = program.products
    op = product.weighted
    weights: Weights = {product.name: (anything(op.weight_shape), anything(op.weight_shape[:1]) if op.bias else None)}
    expected = program_values(program, x, weights)[-1] % (1 << ring)
    assert (integers(evaluate(program, x, weights, seed=seed)) % (1 << ring) == expected).all()


def test_one_mask_for_two_products() -> None:
    """Products of one value share its masked message: it is sent once, in the wider of their rings."""
    program = lowered(NETWORKS["branches"]())
    masks = [step for step in program.steps if step.kind == "mask"]
    products = [step for step in program.steps if step.kind == "product"]
    users = [sum(position in step.inputs for step in products) for position, _ in enumerate(program.steps)]
    assert (len(masks), len(products)) == (3, 4)
    assert max(users) == 2


def test_oracle_of_convolutions() -> None:
    """The oracle itself: its convolution is PyTorch's."""
    program = lowered(nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1, groups=2)))
    (op,) = (step.weighted for step in program.products)
    assert isinstance(op, Conv2d)
    generator = torch.Generator().manual_seed(1)
    x, weight = (torch.randint(-50, 50, size, generator=generator) for size in ((2, *SHAPE), op.weight_shape))
    expected = nn.functional.conv2d(x.double(), weight.double(), None, op.stride, op.padding, op.dilation, op.groups)
    assert (convolved(op, x, weight) == residues(expected.long())).all()
