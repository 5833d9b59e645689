from __future__ import annotations

import itertools
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from translation import assert_same, kinds, randomize_statistics

from smule_crypten.config.sections import ModelConfig
from smule_crypten.models import composition
from smule_crypten.models.architecture import Conv2d
from smule_crypten.models.trainable import translate_trainable
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model

Pair = tuple[int, int]
SHAPE = (2, 9, 9)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(
    kernels=st.tuples(pairs, pairs),
    strides=st.tuples(st.tuples(st.integers(1, 2), st.integers(1, 2)), pairs),
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    window=pairs,
    window_stride=pairs,
    size=st.tuples(st.integers(23, 28), st.integers(23, 28)),
    biases=st.tuples(st.booleans(), st.booleans()),
)
@settings(derandomize=True, deadline=None, max_examples=40)
def test_two_convolutions_are_one_at_every_pixel(
    kernels: tuple[Pair, Pair],
    strides: tuple[Pair, Pair],
    padding: Pair,
    window: Pair,
    window_stride: Pair,
    size: Pair,
    biases: tuple[bool, bool],
) -> None:
    """Any kernels, strides, padding of the input, pooling and image size, borders included, in the plain network."""
    model = nn.Sequential(
        nn.Conv2d(2, 3, kernels[0], strides[0], padding, bias=biases[0]),
        nn.AvgPool2d(window, window_stride),
        nn.Conv2d(3, 4, kernels[1], strides[1], bias=biases[1]),
    )
    with mock.patch.object(composition, "_SAMPLES", 10**6):
        network = assert_same(model, (2, *size))
    assert kinds(network) == ["conv2d"]
    (op,) = network.architecture.ops
    assert isinstance(op, Conv2d)
    assert op.padding == padding
    assert op.bias == any(biases)


def test_a_composed_kernel_by_hand() -> None:
    """Protects: weight and bias, against sums over all taps in NumPy, which know nothing of transposed convolutions."""
    first, pool, second = nn.Conv2d(1, 2, 2, stride=2, padding=3), nn.AvgPool2d(3, 2), nn.Conv2d(2, 3, 2, stride=2)
    with mock.patch.object(composition, "_SAMPLES", 10**6):
        network = translate(nn.Sequential(first, pool, second), (1, 20, 20))
    ((weight, bias),) = network.parameters.values()
    assert bias is not None
    inner, outer = first.weight.detach().double().numpy(), second.weight.detach().double().numpy()
    # Pixels from tap to tap: 1 in the first kernel, its stride 2 in the window, 2 * 2 in the second kernel.
    expected = np.zeros((3, 1, 2 + 2 * 2 + 4, 2 + 2 * 2 + 4))
    for o, c, y, x, u, v, j, i in itertools.product(
        range(3), range(2), range(2), range(2), range(3), range(3), range(2), range(2)
    ):
        expected[o, 0, 4 * y + 2 * u + j, 4 * x + 2 * v + i] += outer[o, c, y, x] * inner[c, 0, j, i] / 9
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-12, atol=1e-15)
    offset = outer.sum((2, 3)) @ first.bias.detach().double().numpy() + second.bias.detach().double().numpy()
    np.testing.assert_allclose(bias.numpy(), offset, rtol=1e-12)
    (op,) = network.architecture.ops
    assert isinstance(op, Conv2d)
    assert op.stride == (2 * 2 * 2, 2 * 2 * 2)


COMPOSED: dict[str, tuple[list[nn.Module], list[str]]] = {
    "three convolutions": ([nn.Conv2d(2, 3, 3, padding=3), nn.Conv2d(3, 3, 3), nn.Conv2d(3, 4, 3)], ["conv2d"]),
    "pooled twice": ([nn.Conv2d(2, 3, 3), nn.AvgPool2d(2), nn.AvgPool2d(1), nn.Conv2d(3, 4, 3)], ["conv2d"]),
    "normalised": ([nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)], ["conv2d"]),
    "dropout between": ([nn.Conv2d(2, 3, 3), nn.Dropout2d(), nn.Conv2d(3, 4, 3)], ["conv2d"]),
    "pooled after": ([nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 3), nn.AvgPool2d(2)], ["conv2d", "avg_pool2d"]),
    "matrices": (
        [nn.Flatten(), nn.Linear(162, 20), nn.Linear(20, 20, bias=False), nn.Linear(20, 3)],
        ["flatten", "linear"],
    ),
}


@pytest.mark.parametrize(("layers", "expected"), COMPOSED.values(), ids=COMPOSED)
def test_what_is_composed(layers: list[nn.Module], expected: list[str]) -> None:
    """Chains of any length, through what vanishes in evaluation, under the name of the last layer of each."""
    network = assert_same(randomize_statistics(nn.Sequential(*layers)), SHAPE)
    assert kinds(network) == expected
    assert set(network.parameters) == {op.name for op in network.architecture.ops if op.kind in ("conv2d", "linear")}


APART: dict[str, list[nn.Module]] = {
    "padding between": [nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 3, padding=1)],
    "pooling that pads": [nn.Conv2d(2, 3, 3), nn.AvgPool2d(2, padding=1), nn.Conv2d(3, 4, 3)],
    "a ReLU": [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3)],
    "a maximum": [nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3)],
    "groups first": [nn.Conv2d(2, 4, 3, groups=2), nn.Conv2d(4, 4, 3)],
    "groups after": [nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, groups=2)],
    "dilation": [nn.Conv2d(2, 3, 3), nn.Conv2d(3, 4, 2, dilation=2)],
    "a matrix after a convolution": [nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(147, 4)],
    "many more weights": [nn.Flatten(), nn.Linear(162, 1), nn.Linear(1, 200)],
}


@pytest.mark.parametrize("layers", APART.values(), ids=APART)
def test_what_stays_apart(layers: list[nn.Module]) -> None:
    """Where a composition would be another function, is not worked out, or would send more, there are two products."""
    network = assert_same(nn.Sequential(*layers), SHAPE)
    assert len(network.parameters) == 2


class _TwoReaders(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 3, 1)

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        value = self.first(inputs_NX)
        return value + self.second(value)


def test_a_value_that_others_read_stays() -> None:
    """Protects: a shortcut around the second layer still finds the result of the first one."""
    assert kinds(assert_same(_TwoReaders(), SHAPE)) == ["conv2d", "conv2d", "add"]


def test_training_on_shares_sees_each_layer() -> None:
    """Protects: who trains the parameters trains those of the network, not of a composition of them."""
    model = build_model(ModelConfig(name="linear_stem_convnet"), (1, 8, 8), 3, seed=0)
    found = translate_trainable(model, (1, 8, 8)).parameters
    assert len(found) == 1 + len(translate(model, (1, 8, 8)).parameters)
    assert sum(tensor.numel() for pair in found.values() for tensor in pair if tensor is not None) == sum(
        parameter.numel() for parameter in model.parameters()
    )


@pytest.mark.parametrize("size", [8, 9, 10, 11])
def test_the_stem_is_one_product_of_each_pixel(size: int) -> None:
    """Protects: what every single pixel, those at the border too, does to every logit of the zoo's network."""
    shape = (1, size, size)
    model = build_model(ModelConfig(name="linear_stem_convnet"), shape, 3, seed=0).eval()
    network = translate(model, shape)
    model.double()
    impulses = torch.eye(size * size, dtype=torch.float64).view(-1, *shape)
    stem = model[: [name for name, _ in model.named_children()].index("relu2")]  # type: ignore[index]
    before_relu = next(i for i, op in enumerate(network.architecture.ops) if op.kind == "relu") - 1
    with torch.no_grad():
        torch.testing.assert_close(network.values(impulses)[before_relu], stem(impulses), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(network.values(impulses)[-1], model(impulses), rtol=1e-12, atol=1e-14)
    assert sum(isinstance(op, Conv2d) for op in network.architecture.ops[:before_relu]) == 1
