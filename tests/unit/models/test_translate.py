from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from translation import SHAPE, Shape, assert_same, kinds, randomize_statistics

from smule_crypten.models.translate import translate
from smule_crypten.torchvision_compat import load_torchvision

pytestmark = pytest.mark.usefixtures("repeatable")

MODULES: dict[str, tuple[Callable[[], list[nn.Module]], list[str]]] = {
    "linear": (lambda: [nn.Flatten(), nn.Linear(72, 3)], ["flatten", "linear"]),
    "linear without bias": (lambda: [nn.Flatten(), nn.Linear(72, 3, bias=False)], ["flatten", "linear"]),
    "conv": (lambda: [nn.Conv2d(2, 3, 3)], ["conv2d"]),
    "conv without bias": (lambda: [nn.Conv2d(2, 3, 3, bias=False)], ["conv2d"]),
    "conv with an oblong kernel": (lambda: [nn.Conv2d(2, 3, (1, 4))], ["conv2d"]),
    "conv with stride": (lambda: [nn.Conv2d(2, 3, 3, stride=(2, 3))], ["conv2d"]),
    "conv with padding": (lambda: [nn.Conv2d(2, 3, 3, padding=(2, 1))], ["conv2d"]),
    "conv with dilation": (lambda: [nn.Conv2d(2, 3, 2, dilation=(3, 2))], ["conv2d"]),
    "conv with groups": (lambda: [nn.Conv2d(2, 4, 3, groups=2)], ["conv2d"]),
    "conv with padding same": (lambda: [nn.Conv2d(2, 3, (3, 5), padding="same")], ["conv2d"]),
    "conv dilated, padding same": (lambda: [nn.Conv2d(2, 3, (2, 3), padding="same", dilation=(2, 1))], ["conv2d"]),
    "conv with padding valid": (lambda: [nn.Conv2d(2, 3, 3, padding="valid")], ["conv2d"]),
    "relu": (lambda: [nn.ReLU()], ["relu"]),
    "relu in place": (lambda: [nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True)], ["conv2d", "relu"]),
    "max pool": (lambda: [nn.MaxPool2d(2)], ["max_pool2d"]),
    "max pool, all options": (
        lambda: [nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), ceil_mode=True)],
        ["max_pool2d"],
    ),
    "max pool, partial windows": (lambda: [nn.MaxPool2d(4, ceil_mode=True)], ["max_pool2d"]),
    "max pool, size in a tuple of one": (lambda: [nn.MaxPool2d((2,))], ["max_pool2d"]),
    "average pool": (lambda: [nn.AvgPool2d(2)], ["avg_pool2d"]),
    "average pool, all options": (lambda: [nn.AvgPool2d((3, 2), stride=(2, 1), padding=(1, 0))], ["avg_pool2d"]),
    "average pool without padding": (
        lambda: [nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)],
        ["avg_pool2d"],
    ),
    "adaptive pool": (lambda: [nn.AdaptiveAvgPool2d(1)], ["adaptive_avg_pool2d"]),
    "adaptive pool, uneven windows": (lambda: [nn.AdaptiveAvgPool2d((4, 5))], ["adaptive_avg_pool2d"]),
    "adaptive pool, one size kept": (lambda: [nn.AdaptiveAvgPool2d((None, 2))], ["adaptive_avg_pool2d"]),
    "adaptive pool, enlarging": (lambda: [nn.AdaptiveAvgPool2d((9, 7))], ["adaptive_avg_pool2d"]),
    "flatten of a flat value": (lambda: [nn.Flatten(), nn.Flatten()], ["flatten"]),
    "dropout": (lambda: [nn.Dropout(0.9), nn.ReLU(), nn.Dropout2d(0.9)], ["relu"]),
    "identity": (lambda: [nn.Identity(), nn.ReLU(), nn.Identity()], ["relu"]),
    "nested": (lambda: [nn.Sequential(nn.Conv2d(2, 3, 3), nn.Sequential(nn.ReLU()))], ["conv2d", "relu"]),
    "norm after conv": (lambda: [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)], ["conv2d"]),
    "norm after conv without bias": (lambda: [nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3)], ["conv2d"]),
    "norm after grouped conv": (lambda: [nn.Conv2d(2, 4, 3, groups=2), nn.BatchNorm2d(4)], ["conv2d"]),
    "norm without affine": (lambda: [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, affine=False)], ["conv2d"]),
    "norm with a large eps": (lambda: [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, eps=0.7)], ["conv2d"]),
    "norm twice": (lambda: [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.BatchNorm2d(3)], ["conv2d"]),
    "norm after dropout": (lambda: [nn.Conv2d(2, 3, 3), nn.Dropout2d(), nn.BatchNorm2d(3)], ["conv2d"]),
    "norm after linear": (lambda: [nn.Flatten(), nn.Linear(72, 3), nn.BatchNorm1d(3)], ["flatten", "linear"]),
    "norm after average": (
        lambda: [nn.Conv2d(2, 3, 3, padding=1), nn.AvgPool2d(2), nn.BatchNorm2d(3)],
        ["conv2d", "avg_pool2d"],
    ),
    "norm after averages": (
        lambda: [
            *(nn.Conv2d(2, 3, 3), nn.AvgPool2d(2, padding=1, count_include_pad=False), nn.AdaptiveAvgPool2d(2)),
            *(nn.Dropout(), nn.BatchNorm2d(3)),
        ],
        ["conv2d", "avg_pool2d", "adaptive_avg_pool2d"],
    ),
    "norm after a padded average": (
        lambda: [nn.Conv2d(2, 3, 3), nn.AvgPool2d(2, padding=1), nn.BatchNorm2d(3)],
        ["conv2d", "avg_pool2d", "conv2d"],
    ),
    "norm of an averaged input": (lambda: [nn.AvgPool2d(2), nn.BatchNorm2d(2)], ["avg_pool2d", "conv2d"]),
    "norm first": (lambda: [nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3)], ["conv2d", "conv2d"]),
    "norm after relu": (lambda: [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3)], ["conv2d", "relu", "conv2d"]),
    "norm after pool": (lambda: [nn.MaxPool2d(2), nn.BatchNorm2d(2)], ["max_pool2d", "conv2d"]),
}


@pytest.mark.parametrize(("layers", "expected_kinds"), MODULES.values(), ids=MODULES)
def test_modules(layers: Callable[[], list[nn.Module]], expected_kinds: list[str]) -> None:
    """Each supported module means the same after translation, and costs no operation more than needed."""
    network = assert_same(randomize_statistics(nn.Sequential(*layers())))
    assert kinds(network) == expected_kinds


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Module, Shape]:
    pairs = [draw(st.tuples(st.integers(low, high), st.integers(low, high))) for low, high in ((1, 4), (1, 3), (0, 3))]
    kernel, stride, padding = pairs
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    groups = draw(st.integers(1, 3))
    channels, filters = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    size = draw(st.tuples(st.integers(3, 9), st.integers(3, 9)))
    assume(all(dilation[i] * (kernel[i] - 1) + 1 <= size[i] + 2 * padding[i] for i in (0, 1)))
    bias, normalised = draw(st.booleans()), draw(st.booleans())
    conv = nn.Conv2d(channels, filters, kernel, stride, padding, dilation, groups, bias)
    return nn.Sequential(conv, nn.BatchNorm2d(filters) if normalised else nn.Identity()), (channels, *size)


@st.composite
def poolings(draw: st.DrawFn) -> tuple[nn.Module, Shape]:
    kernel, stride = (draw(st.tuples(st.integers(1, 4), st.integers(1, 4))) for _ in range(2))
    padding = draw(st.tuples(st.integers(0, kernel[0] // 2), st.integers(0, kernel[1] // 2)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    flag = draw(st.booleans())
    choice = draw(st.sampled_from(["max", "average", "adaptive"]))
    if choice == "adaptive":
        return nn.AdaptiveAvgPool2d(kernel), (2, *size)
    reach = dilation if choice == "max" else (1, 1)
    assume(all(reach[i] * (kernel[i] - 1) + 1 <= size[i] + 2 * padding[i] for i in (0, 1)))
    if choice == "max":
        return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=flag), (2, *size)
    return nn.AvgPool2d(kernel, stride, padding, count_include_pad=flag), (2, *size)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(case=st.one_of(convolutions(), poolings()))
def test_any_shape(case: tuple[nn.Module, Shape]) -> None:
    """Kernel, stride, padding, dilation and groups in any combination; output shapes are predicted exactly."""
    model, shape = case
    assert_same(randomize_statistics(model), shape)


def test_model_is_left_as_it_is() -> None:
    """Translation happens between training steps: weights, statistics, gradients and mode stay untouched."""
    model = randomize_statistics(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout(), nn.ReLU()))
    model.train()
    model[2].eval()
    model(torch.randn(2, *SHAPE)).sum().backward()
    state = copy.deepcopy(model.state_dict())
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    network = translate(model, SHAPE)
    for weight, bias in network.parameters.values():
        weight.fill_(7.0)
        if bias is not None:
            bias.fill_(7.0)
    assert [module.training for module in model] == [True, True, False, True]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert len(gradients) == 4
    assert all(torch.equal(p.grad, gradient) for p, gradient in zip(model.parameters(), gradients, strict=True))


def test_translation_repeats() -> None:
    """The architecture is compared between exchanges: it depends neither on the mode nor on the weights."""
    first, second = (nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()) for _ in range(2))
    assert translate(first, SHAPE).architecture == translate(second.eval(), SHAPE).architecture


def test_global_randomness_is_untouched() -> None:
    """Asking the peer must not change what a seeded training run draws afterwards."""
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Dropout(), nn.ReLU())
    state = torch.get_rng_state()
    translate(model, SHAPE)
    assert torch.equal(torch.get_rng_state(), state)


def test_parameters_are_plain_float64() -> None:
    """What is shared is detached, on the CPU and as exact as the weights; operations without weights have none."""
    network = translate(nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2, bias=False)), SHAPE)
    weighted = [op.name for op in network.architecture.ops if op.kind in ("conv2d", "linear")]
    assert list(network.parameters) == weighted
    tensors = [tensor for pair in network.parameters.values() for tensor in pair if tensor is not None]
    assert len(tensors) == 3
    assert all(t.dtype == torch.float64 and t.device.type == "cpu" and not t.requires_grad for t in tensors)


def narrow_classifier(model: nn.Module) -> None:
    """The hidden layers of AlexNet and VGG with 8 units; as they are, they take hundreds of MB."""
    positions = [i for i, layer in enumerate(model.classifier) if isinstance(layer, nn.Linear)]
    widths = [model.classifier[positions[0]].in_features, 8, 8, 4]
    for position, (num_in, num_out) in zip(positions, itertools.pairwise(widths), strict=True):
        model.classifier[position] = nn.Linear(num_in, num_out, device="meta")


@pytest.mark.parametrize(("name", "size"), [("resnet18", 32), ("alexnet", 63), ("vgg11", 32), ("vgg11_bn", 32)])
def test_torchvision_networks(name: str, size: int) -> None:
    """torchvision's networks translate as they are written, with max and adaptive pooling and in-place ReLU."""
    load_torchvision()
    from torchvision import models

    with torch.device("meta"):
        model = getattr(models, name)(weights=None, num_classes=4)
    if name != "resnet18":
        narrow_classifier(model)
    model.to_empty(device="cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data.normal_(0, 0.1)
    randomize_statistics(model)
    network = assert_same(model, (3, size, size))
    assert network.architecture.output_shape == (4,)
