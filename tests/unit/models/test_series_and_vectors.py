"""Networks of series and vectors mean the same after translation, and cost what images of height 1 cost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from translation import Shape, assert_same, kinds, randomize_statistics

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import UnshareableModelError
from smule_crypten.inference.registry import SCHEMES
from smule_crypten.models.agreement import translate_checked
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.translate import translate

pytestmark = pytest.mark.usefixtures("repeatable")

SERIES = (2, 14)
MODULES: dict[str, tuple[Callable[[], list[nn.Module]], list[str]]] = {
    "conv": (lambda: [nn.Conv1d(2, 3, 5)], ["conv2d"]),
    "conv, padding same": (lambda: [nn.Conv1d(2, 3, 5, padding="same", dilation=2)], ["conv2d"]),
    "conv, padding valid": (lambda: [nn.Conv1d(2, 3, 4, padding="valid")], ["conv2d"]),
    "norm after conv": (lambda: [nn.Conv1d(2, 3, 3, bias=False), nn.BatchNorm1d(3)], ["conv2d"]),
    "norm twice": (lambda: [nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.BatchNorm1d(3)], ["conv2d"]),
    "norm first": (lambda: [nn.BatchNorm1d(2), nn.Conv1d(2, 3, 3)], ["conv2d", "conv2d"]),
    "max pool": (lambda: [nn.MaxPool1d(3, 2, 1, ceil_mode=True)], ["max_pool2d"]),
    "max pool with dilation": (lambda: [nn.MaxPool1d(2, 1, dilation=3)], ["max_pool2d"]),
    "average pool": (lambda: [nn.AvgPool1d(2)], ["avg_pool2d"]),
    "average pool, border not counted": (lambda: [nn.AvgPool1d(3, 2, 1, count_include_pad=False)], ["avg_pool2d"]),
    "adaptive pool": (lambda: [nn.AdaptiveAvgPool1d(1)], ["adaptive_avg_pool2d"]),
    "adaptive pool, uneven windows": (lambda: [nn.AdaptiveAvgPool1d(4)], ["adaptive_avg_pool2d"]),
    "dropout and identity": (lambda: [nn.Dropout1d(0.9), nn.ReLU(), nn.Identity()], ["relu"]),
    "flatten": (lambda: [nn.Flatten(), nn.Linear(28, 3)], ["flatten", "linear"]),
    "flatten that changes nothing": (lambda: [nn.Flatten(2), nn.ReLU()], ["relu"]),
}


@pytest.mark.parametrize(("layers", "expected_kinds"), MODULES.values(), ids=MODULES)
def test_modules_over_time(layers: Callable[[], list[nn.Module]], expected_kinds: list[str]) -> None:
    """Each module over time becomes one operation on images of height 1, or none."""
    model = randomize_statistics(nn.Sequential(*layers()))
    assert kinds(assert_same(model, SERIES)) == expected_kinds
    translate_checked(model, SERIES)


@st.composite
def layers_over_time(draw: st.DrawFn) -> tuple[nn.Module, Shape]:
    kernel, stride, dilation, groups = (draw(st.integers(1, most)) for most in (5, 4, 3, 3))
    padding, steps = draw(st.integers(0, 3)), draw(st.integers(2, 16))
    kind = draw(st.sampled_from(["conv", "max", "average", "adaptive"]))
    if kind == "adaptive":
        return nn.AdaptiveAvgPool1d(kernel), (2, steps)
    reach = dilation if kind in ("conv", "max") else 1
    assume(reach * (kernel - 1) + 1 <= steps + 2 * padding)
    if kind == "conv":
        channels, filters = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
        conv = nn.Conv1d(channels, filters, kernel, stride, padding, dilation, groups, bias=draw(st.booleans()))
        norm = nn.BatchNorm1d(filters) if draw(st.booleans()) else nn.Identity()
        return nn.Sequential(conv, norm), (channels, steps)
    assume(padding <= kernel // 2)
    if kind == "max":
        return nn.MaxPool1d(kernel, stride, padding, dilation, ceil_mode=draw(st.booleans())), (2, steps)
    return nn.AvgPool1d(kernel, stride, padding, count_include_pad=draw(st.booleans())), (2, steps)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(case=layers_over_time())
def test_any_layer_over_time(case: tuple[nn.Module, Shape]) -> None:
    """Kernel, stride, padding, dilation, groups and bias in any combination, against PyTorch."""
    model, shape = case
    assert_same(randomize_statistics(model), shape)


class Functional(nn.Module):
    """Functions over time, a sum of two branches, and a value that is normalised beside its use."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3, padding=1)
        self.shortcut = nn.Conv1d(2, 4, 1)
        self.norm = nn.BatchNorm1d(4)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x) + self.shortcut(x)
        x = F.relu(self.norm(x) + x)
        x = F.max_pool1d(F.avg_pool1d(x, 2), 2, stride=1)
        logits: torch.Tensor = self.classifier(F.adaptive_avg_pool1d(x, 1).flatten(1))
        return logits


def test_functions_over_time() -> None:
    """Functional forms, residual sums and a BatchNorm that nothing can take in."""
    model = randomize_statistics(Functional())
    network = assert_same(model, SERIES)
    assert kinds(network)[:3] == ["conv2d", "conv2d", "add"]
    translate_checked(model, SERIES, torch.randn(7, *SERIES))


def test_vectors() -> None:
    """Linear takes vectors without Flatten, and BatchNorm folds into it."""
    model = randomize_statistics(nn.Sequential(nn.Linear(9, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)))
    network = translate_checked(model, (9,), torch.randn(7, 9))
    assert kinds(network) == ["linear", "relu", "linear"]
    assert_same(model, (9,))
    assert Architecture.from_json(network.architecture.to_json()) == network.architecture
    assert kinds(assert_same(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), (9,))) == ["linear"]


def of_images(layer: nn.Module) -> nn.Module:
    """The same layer for images of height 1, written out with PyTorch's own layers."""
    match layer:
        case nn.Conv1d():
            (kernel,), (stride,), (dilation,) = layer.kernel_size, layer.stride, layer.dilation
            (padding,) = layer.padding
            return nn.Conv2d(
                layer.in_channels,
                layer.out_channels,
                (1, kernel),
                (1, stride),
                (0, padding),
                (1, dilation),
                layer.groups,
            )
        case nn.BatchNorm1d():
            return nn.BatchNorm2d(layer.num_features)
        case nn.MaxPool1d():
            return nn.MaxPool2d((1, layer.kernel_size))
        case nn.AvgPool1d():
            return nn.AvgPool2d((1, layer.kernel_size[0]))
        case nn.AdaptiveAvgPool1d():
            return nn.AdaptiveAvgPool2d((1, layer.output_size))
    return layer


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_cost_is_that_of_images_of_height_one(scheme: str) -> None:
    """A series costs not a byte, round or byte of the dealer more than the image of height 1 that it is."""
    layers = [
        nn.Conv1d(3, 4, 5, stride=2, padding=2),
        nn.BatchNorm1d(4),
        nn.AvgPool1d(2),
        nn.ReLU(),
        nn.Conv1d(4, 6, 3, dilation=2, groups=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    ]
    series = translate(nn.Sequential(*layers), (3, 48)).architecture
    image = translate(nn.Sequential(*map(of_images, layers)), (3, 1, 48)).architecture
    assert series.ops == image.ops
    assert series.digest() != image.digest()
    config = SchemeConfig(name=scheme, micro_batch=5)
    costs = [SCHEMES[scheme].cost_of(found, 12, config, dealt=True) for found in (series, image)]
    assert costs[0] == costs[1]
    assert costs[0].data_owner.bytes_sent > 0


class Unlike(nn.Module):
    """A function over time where there is none."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool1d(x, 2)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (nn.Sequential(nn.Linear(14, 2)), SERIES, r"0 \(Linear\) .*not flat; flatten to \(N, features\) first"),
        (nn.Sequential(nn.Conv1d(2, 3, 2)), (9,), r"0 \(Conv1d\) .*not \(N, channels, time\)"),
        (nn.Sequential(nn.Conv2d(2, 3, 2)), (5, 5), r"0 \(Conv2d\) .*not \(N, channels, height, width\)"),
        (nn.Sequential(nn.MaxPool2d(2)), (8, 8), r"0 \(MaxPool2d\) .*not \(N, channels, height, width\)"),
        (nn.Sequential(nn.AdaptiveAvgPool1d(1)), (8,), r"0 \(AdaptiveAvgPool1d\) .*not \(N, channels, time\)"),
        (Unlike(), (8,), r"max_pool1d \(MaxPool1d\) .*not \(N, channels, time\)"),
        (nn.Sequential(nn.BatchNorm1d(8)), (8,), r"0 \(BatchNorm1d\) .*directly after nn.Linear or nn.Conv1d"),
        (nn.Sequential(nn.AvgPool1d(3, ceil_mode=True)), SERIES, r"0 \(AvgPool1d\) .*ceil_mode"),
        (nn.Sequential(nn.Conv1d(2, 3, 2, padding="same")), SERIES, r"0 \(Conv1d\) .*asymmetric"),
        (nn.Sequential(nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular")), SERIES, r"0 \(Conv1d\) .*zeros"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_what_has_no_counterpart_is_refused(model: nn.Module, shape: Shape, message: str) -> None:
    """PyTorch takes a batch of 2 for channels where a sample lacks that axis: such layers are named, not followed."""
    with pytest.raises(UnshareableModelError, match=message) as caught:
        translate(model, shape)
    assert "\n" not in str(caught.value)
