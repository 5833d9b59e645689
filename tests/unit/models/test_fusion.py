from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from smule_crypten.config import ModelConfig
from smule_crypten.models.fusion import PooledConvolution, fused
from smule_crypten.models.zoo import build_model


@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.tuples(st.integers(11, 14), st.integers(11, 14)),
    groups=st.sampled_from([1, 2]),
)
@settings(derandomize=True, deadline=None, max_examples=25)
def test_same_function_and_gradients(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    window: tuple[int, int],
    size: tuple[int, int],
    groups: int,
) -> None:
    """Any kernel, stride, padding, window and image size, where windows do not tile the image, too."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 4, kernel, stride, padding, groups=groups), nn.AvgPool2d(window)).double()
    faster = fused(model)
    assert any(isinstance(layer, PooledConvolution) for layer in faster.modules())
    images = torch.randn(2, 2, *size, generator=generator, dtype=torch.double)
    expected, found = model(images), faster(images)
    torch.testing.assert_close(found, expected)
    weight = model[0].weight
    ours, theirs = (torch.autograd.grad(output.square().sum(), weight)[0] for output in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_parameters_are_shared() -> None:
    """Training the faster network trains the original one."""
    model = build_model(ModelConfig(name="small_convnet"), (1, 8, 8), 3, seed=0)
    assert {id(p) for p in fused(model).parameters()} == {id(p) for p in model.parameters()}


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(2)],
        [nn.Conv2d(1, 2, 3), nn.AvgPool2d(3, stride=2)],
        [nn.Conv2d(1, 2, 3), nn.AvgPool2d(2, padding=1)],
        [nn.Conv2d(1, 2, 3), nn.AvgPool2d(2, ceil_mode=True)],
        [nn.Conv2d(1, 2, 3), nn.AvgPool2d(2, divisor_override=3)],
        [nn.Conv2d(1, 2, 3, dilation=2), nn.AvgPool2d(2)],
        [nn.Conv2d(1, 2, 3, padding="same"), nn.AvgPool2d(2)],
        [nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), nn.AvgPool2d(2)],
    ],
)
def test_left_alone(layers: list[nn.Module]) -> None:
    """What is not exactly a convolution and the mean of its windows stays as it is."""
    model = nn.Sequential(*layers)
    assert fused(model) is model
