from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from smule_crypten.config.sections import ModelConfig
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


HOOKS: dict[str, Callable[[nn.Sequential], object]] = {
    "old weight_norm": lambda m: nn.utils.weight_norm(m[0]),
    "hook on the convolution": lambda m: m[0].register_forward_hook(lambda module, inputs, result: 2 * result),
    "hook on the pooling": lambda m: m[1].register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],)),
    "hook on the network": lambda m: m.register_forward_hook(lambda module, inputs, result: 2 * result),
    "normalization before the network": lambda m: m.register_forward_pre_hook(lambda module, x: (x[0] - 1,)),
    "forward on the instance": lambda m: setattr(m[0], "forward", lambda x: 2 * torch.ones(len(x), 4, 6, 6)),
}


@pytest.mark.parametrize("change", HOOKS.values(), ids=HOOKS)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_hooks_are_not_lost(change: Callable[[nn.Sequential], object]) -> None:
    """A network is made faster only where that changes nothing: its hooks compute, and train, with it."""
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.AvgPool2d(2))
    change(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    images = torch.randn(2, 2, 8, 8)
    torch.testing.assert_close(fused(model)(images), model(images))


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
