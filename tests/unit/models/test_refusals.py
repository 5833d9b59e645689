"""What cannot be translated is refused with the name of the module and the remedy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn
from torch_release import FROM_TORCH_2_13

from smule_crypten.errors import ModelError, UnshareableModelError
from smule_crypten.models.remedies import _REMEDIES, SUPPORTED, refuse_module
from smule_crypten.models.translate import translate

SHAPE = (2, 6, 6)

MODULES: dict[type[nn.Module], tuple[Callable[[], nn.Module], str]] = {
    nn.Softmax: (lambda: nn.Softmax(1), "return logits"),
    nn.LogSoftmax: (lambda: nn.LogSoftmax(1), "return logits"),
    nn.Sigmoid: (nn.Sigmoid, "use nn.ReLU"),
    nn.Tanh: (nn.Tanh, "use nn.ReLU"),
    nn.GELU: (nn.GELU, "use nn.ReLU"),
    nn.SiLU: (nn.SiLU, "use nn.ReLU"),
    nn.ELU: (nn.ELU, "use nn.ReLU"),
    nn.Hardswish: (nn.Hardswish, "use nn.ReLU"),
    nn.LeakyReLU: (nn.LeakyReLU, "use nn.ReLU"),
    nn.ReLU6: (nn.ReLU6, "use nn.ReLU"),
    nn.LayerNorm: (lambda: nn.LayerNorm(4), "nn.BatchNorm2d"),
    nn.GroupNorm: (lambda: nn.GroupNorm(1, 3), "nn.BatchNorm2d"),
    nn.InstanceNorm2d: (lambda: nn.InstanceNorm2d(3), "nn.BatchNorm2d"),
    nn.AdaptiveMaxPool2d: (lambda: nn.AdaptiveMaxPool2d(1), "use nn.MaxPool2d or nn.AdaptiveAvgPool2d"),
    nn.ConvTranspose2d: (lambda: nn.ConvTranspose2d(3, 2, 3), "use nn.Conv2d"),
    nn.PReLU: (nn.PReLU, SUPPORTED),
    nn.Upsample: (lambda: nn.Upsample(scale_factor=2), SUPPORTED),
}


OF_SERIES: dict[type[nn.Module], tuple[Callable[[], nn.Module], str]] = {
    nn.InstanceNorm1d: (lambda: nn.InstanceNorm1d(3), "use nn.BatchNorm1d"),
    nn.AdaptiveMaxPool1d: (lambda: nn.AdaptiveMaxPool1d(1), "use nn.MaxPool1d or nn.AdaptiveAvgPool1d"),
    nn.ConvTranspose1d: (lambda: nn.ConvTranspose1d(3, 2, 3), "use nn.Conv1d"),
    nn.RNN: (lambda: nn.RNN(4, 2), "use nn.Conv1d over time"),
    nn.GRU: (lambda: nn.GRU(4, 2), "use nn.Conv1d over time"),
    nn.LSTM: (lambda: nn.LSTM(4, 2), "use nn.Conv1d over time"),
}
"""After a convolution to 3 channels of 4 steps."""


class Parts(nn.Module):
    """A convolution to 3 channels of 4 x 4, and a forward function that is given from outside."""

    def __init__(self, function: Callable[[Parts, torch.Tensor], object], layer: nn.Module | None = None) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(2, 3, 3)
        self.layer = layer
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> object:
        return self.function(self, x)


def refusal(model: nn.Module, shape: tuple[int, ...] = SHAPE) -> UnshareableModelError:
    with pytest.raises(UnshareableModelError) as caught:
        translate(model, shape)
    assert "\n" not in str(caught.value)
    assert caught.value.reason in str(caught.value)
    assert caught.value.remedy in str(caught.value)
    return caught.value


def test_every_remedy_is_tested() -> None:
    """A row that is added to the table of remedies needs a row here."""
    assert _REMEDIES.keys() <= MODULES.keys() | OF_SERIES.keys() | {nn.Conv3d}


@pytest.mark.parametrize("kind", MODULES, ids=lambda kind: kind.__name__)
def test_modules(kind: type[nn.Module]) -> None:
    """The user reads the qualified name of the layer, its type and what to use in its place."""
    build, remedy = MODULES[kind]
    error = refusal(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Sequential(build())))
    assert error.module == f"1.0 ({kind.__name__})"
    assert remedy in error.remedy


@pytest.mark.parametrize("kind", OF_SERIES, ids=lambda kind: kind.__name__)
def test_modules_over_time(kind: type[nn.Module]) -> None:
    """As above, for layers that take series."""
    build, remedy = OF_SERIES[kind]
    error = refusal(nn.Sequential(nn.Conv1d(2, 3, 3), nn.Sequential(build())), (2, 6))
    assert error.module == f"1.0 ({kind.__name__})"
    assert remedy in error.remedy


def test_modules_for_other_inputs() -> None:
    """A Conv3d never meets samples of at most three axes, so its remedy is asked for directly."""
    error = refuse_module("body.conv", nn.Conv3d(3, 2, 1))
    assert error.module == "body.conv (Conv3d)"
    assert "use nn.Conv2d" in error.remedy


@pytest.mark.parametrize(
    ("layers", "module", "remedy"),
    [
        ([nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")], "0 (Conv2d)", "padding_mode='zeros'"),
        ([nn.Conv2d(2, 3, 2, padding="same")], "0 (Conv2d)", "odd kernel"),
        ([nn.Linear(6, 2)], "0 (Linear)", "flatten to (N, features) first"),
        ([nn.AvgPool2d(4, ceil_mode=True)], "0 (AvgPool2d)", "pad the input"),
        ([nn.AvgPool2d(2, divisor_override=3)], "0 (AvgPool2d)", "pad the input"),
        ([nn.MaxPool2d(2, return_indices=True)], "0 (MaxPool2d)", "return_indices=False"),
        ([nn.BatchNorm2d(2, track_running_stats=False)], "0 (BatchNorm2d)", "track_running_stats=True"),
        ([nn.Flatten(), nn.BatchNorm1d(72)], "1 (BatchNorm1d)", "directly after nn.Linear"),
        ([nn.Flatten(2)], "0 (Flatten)", SUPPORTED),
        ([nn.Flatten(0)], "0 (Flatten)", SUPPORTED),
        ([nn.Identity()], "the network", "return the logits"),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_options_of_supported_modules(layers: list[nn.Module], module: str, remedy: str) -> None:
    """A supported layer with an option that has no counterpart is named as the user wrote it."""
    error = refusal(nn.Sequential(*layers))
    assert error.module == module
    assert remedy in error.remedy


Function = Callable[[Parts, torch.Tensor], object]


def assign_to_slice(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    y[:, 0] = 0
    return y


def add_with_out(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y, z = m.conv(x), m.conv(x)
    torch.add(y, z, out=y)
    return y


def scale_in_place(x: torch.Tensor) -> None:
    x.mul_(3)


fx.wrap("scale_in_place")


def call_for_effect(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    scale_in_place(y)
    return y


FUNCTIONS: dict[str, tuple[Function, str, str]] = {
    "sigmoid": (lambda m, x: torch.sigmoid(m.conv(x)), "sigmoid", SUPPORTED),
    "mean method": (lambda m, x: m.conv(x).mean((2, 3)), "mean", SUPPORTED),
    "product": (lambda m, x: m.conv(x) * 2, "mul", SUPPORTED),
    "sum with a number": (lambda m, x: m.conv(x) + 1, "add", SUPPORTED),
    "number before a sum": (lambda m, x: 1 + m.conv(x), "add", SUPPORTED),
    "weighted sum": (lambda m, x: torch.add(m.conv(x), m.conv(x), alpha=2), "add", SUPPORTED),
    "sum with a parameter": (lambda m, x: m.conv(x) + m.scale, "scale", SUPPORTED),
    "tensor as keyword": (lambda m, x: torch.flatten(input=m.conv(x), start_dim=1), "flatten", SUPPORTED),
    "layer input as keyword": (lambda m, x: m.conv(input=x), "conv", SUPPORTED),
    "permuted": (lambda m, x: m.conv(x).permute(0, 2, 3, 1), "permute", SUPPORTED),
    "samples mixed": (lambda m, x: m.conv(x).view(-1, 24), "view", SUPPORTED),
    "batch flattened": (lambda m, x: torch.flatten(m.conv(x)), "flatten", SUPPORTED),
    "functional convolution": (lambda m, x: F.conv2d(x, m.conv.weight), "conv_weight", SUPPORTED),
    "indices": (lambda m, x: F.max_pool2d(m.conv(x), 2, return_indices=True)[0], "getitem", SUPPORTED),
    "average with ceil": (lambda m, x: F.avg_pool2d(m.conv(x), 3, ceil_mode=True), "avg_pool2d", "pad the input"),
    "computed average": (
        lambda m, x: F.avg_pool2d(m.conv(x), m.conv(x).size()[2:]),
        "avg_pool2d",
        "nn.AdaptiveAvgPool2d",
    ),
    "computed maximum": (lambda m, x: F.max_pool2d(x, kernel_size=x.size(3)), "max_pool2d", "nn.AdaptiveAvgPool2d"),
    "dropout for ever": (lambda m, x: F.dropout(m.conv(x)), "dropout", "training=self.training"),
    "branch": (lambda m, x: m.conv(x) if x.sum() > 0 else x, "the network Parts", "remove branches"),
    "several outputs": (lambda m, x: (m.conv(x), x), "the network", "return the logits tensor alone"),
    "assignment to a slice": (assign_to_slice, "setitem", SUPPORTED),
    "result written elsewhere": (add_with_out, "add", SUPPORTED),
    "a function with an effect": (call_for_effect, "scale_in_place", SUPPORTED),
    "output is the input": (lambda m, x: [x, m.conv(x)][0], "the network", "return the logits tensor alone"),
}


@pytest.mark.parametrize(
    ("function", "module", "remedy"),
    [
        pytest.param(*row, id=name, marks=FROM_TORCH_2_13 if name == "computed average" else ())
        for name, row in FUNCTIONS.items()
    ],
)
def test_functions(function: Function, module: str, remedy: str) -> None:
    """A function, method or whole forward that has no counterpart is named, and nothing is translated wrongly."""
    error = refusal(Parts(function))
    assert error.module.split(" (")[0] == module
    assert remedy in error.remedy


class TwoInputs(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


def test_two_inputs() -> None:
    """Exactly one tensor can be asked about."""
    error = refusal(TwoInputs())
    assert error.module == "the network TwoInputs"
    assert "single tensor of samples" in error.remedy


def test_layer_in_a_plain_list() -> None:
    """torch.fx cannot name a layer that was never registered; the remedy says how to register it."""
    layers = [nn.Conv2d(2, 3, 3)]
    assert "nn.ModuleList" in refusal(Parts(lambda m, x: layers[0](x))).remedy


def test_wrong_input_shape(capfd: pytest.CaptureFixture[str]) -> None:
    """A network for other images is one line that names both, without a traceback on the terminal."""
    with pytest.raises(
        ModelError, match=r"the network Sequential does not accept inputs of shape \(1, 6, 6\)"
    ) as caught:
        translate(nn.Sequential(nn.Conv2d(2, 3, 3)), (1, 6, 6))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
