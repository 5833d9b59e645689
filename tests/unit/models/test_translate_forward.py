"""Functions, methods and skip connections of forward functions, which torch.fx follows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_release import FROM_TORCH_2_13
from translation import assert_same, kinds, randomize_statistics

from smule_crypten.models.architecture import Architecture

pytestmark = pytest.mark.usefixtures("repeatable")


class Parts(nn.Module):
    """Layers for a forward function that is given from outside."""

    def __init__(self, function: Callable[[Parts, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.other = nn.Conv2d(2, 2, 1)
        self.norm = nn.BatchNorm2d(2)
        self.drop = nn.Dropout()
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(72, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


Function = Callable[[Parts, torch.Tensor], torch.Tensor]


def add_into(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    y += x
    return y


FUNCTIONS: dict[str, tuple[Function, list[str]]] = {
    "F.relu": (lambda m, x: F.relu(m.conv(x)), ["conv2d", "relu"]),
    "F.relu in place": (lambda m, x: F.relu(m.conv(x), inplace=True), ["conv2d", "relu"]),
    "torch.relu": (lambda m, x: torch.relu(m.conv(x)), ["conv2d", "relu"]),
    "relu method": (lambda m, x: m.conv(x).relu(), ["conv2d", "relu"]),
    "relu_ method": (lambda m, x: m.conv(x).relu_(), ["conv2d", "relu"]),
    "F.max_pool2d": (lambda m, x: F.max_pool2d(x, 2), ["max_pool2d"]),
    "F.max_pool2d, positions": (lambda m, x: F.max_pool2d(x, 3, 2, 1, 1, True), ["max_pool2d"]),
    "F.max_pool2d, keywords": (lambda m, x: F.max_pool2d(x, kernel_size=3, stride=(1, 2)), ["max_pool2d"]),
    "F.avg_pool2d": (lambda m, x: F.avg_pool2d(x, 2), ["avg_pool2d"]),
    "F.avg_pool2d, positions": (lambda m, x: F.avg_pool2d(x, 3, 2, 1, False, False), ["avg_pool2d"]),
    "F.avg_pool2d, keywords": (lambda m, x: F.avg_pool2d(x, 3, padding=(1, 0)), ["avg_pool2d"]),
    "F.adaptive_avg_pool2d": (lambda m, x: F.adaptive_avg_pool2d(x, 1), ["adaptive_avg_pool2d"]),
    "F.adaptive_avg_pool2d, pair": (lambda m, x: F.adaptive_avg_pool2d(x, (2, 4)), ["adaptive_avg_pool2d"]),
    "F.dropout": (lambda m, x: m.conv(F.dropout(x, training=m.training)), ["conv2d"]),
    "F.dropout, positions": (lambda m, x: m.conv(F.dropout(x, 0.9, m.training)), ["conv2d"]),
    "view by size": (lambda m, x: m.fc(x.view(x.size(0), -1)), ["flatten", "linear"]),
    "view by shape": (lambda m, x: m.fc(x.view(x.shape[0], -1)), ["flatten", "linear"]),
    "view by features": (lambda m, x: m.fc(x.view(-1, 72)), ["flatten", "linear"]),
    "view by counted features": (lambda m, x: m.fc(x.view(-1, x.size(1) * 36)), ["flatten", "linear"]),
    "view of the same shape": (lambda m, x: m.conv(x.view(-1, 2, 6, 6)), ["conv2d"]),
    "reshape": (lambda m, x: m.fc(x.reshape(x.size()[0], -1)), ["flatten", "linear"]),
    "torch.reshape": (lambda m, x: m.fc(torch.reshape(x, (x.shape[0], 72))), ["flatten", "linear"]),
    "torch.flatten": (lambda m, x: m.fc(torch.flatten(x, 1)), ["flatten", "linear"]),
    "torch.flatten, keyword": (lambda m, x: m.fc(torch.flatten(x, start_dim=1)), ["flatten", "linear"]),
    "flatten method": (lambda m, x: m.fc(x.flatten(1)), ["flatten", "linear"]),
    "contiguous": (lambda m, x: m.fc(x.contiguous().flatten(1)), ["flatten", "linear"]),
    "sum": (lambda m, x: m.conv(x) + x, ["conv2d", "add"]),
    "sum, other order": (lambda m, x: x + m.conv(x), ["conv2d", "add"]),
    "sum into": (add_into, ["conv2d", "add"]),
    "torch.add": (lambda m, x: torch.add(m.conv(x), x), ["conv2d", "add"]),
    "add method": (lambda m, x: m.conv(x).add(x), ["conv2d", "add"]),
    "add_ method": (lambda m, x: m.conv(x).add_(x), ["conv2d", "add"]),
    "sum with itself": (lambda m, x: x + x, ["add"]),
    "one layer twice": (lambda m, x: m.conv(F.relu(m.conv(x))), ["conv2d", "relu", "conv2d"]),
    "one layer twice, once normalised": (lambda m, x: m.norm(m.conv(m.conv(x))), ["conv2d", "conv2d"]),
}


@pytest.mark.parametrize(
    ("function", "expected_kinds"),
    [
        pytest.param(*row, id=name, marks=FROM_TORCH_2_13 if name == "torch.reshape" else ())
        for name, row in FUNCTIONS.items()
    ],
)
def test_functions(function: Function, expected_kinds: list[str]) -> None:
    """Each supported function and method means the same after translation."""
    network = assert_same(randomize_statistics(Parts(function)))
    assert kinds(network) == expected_kinds


def norm_beside_sum(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    return m.norm(y) + y


def norm_of_dropout_beside_sum(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    return m.norm(m.drop(y)) + y


def norm_read_twice(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.norm(m.conv(x))
    return y + m.other(y)


def norm_after_overwriting(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    m.relu(y)
    return m.norm(y)


@pytest.mark.parametrize(
    ("function", "expected_kinds"),
    [
        (norm_beside_sum, ["conv2d", "conv2d", "add"]),
        (norm_of_dropout_beside_sum, ["conv2d", "conv2d", "add"]),
        (norm_read_twice, ["conv2d", "conv2d", "add"]),
        (norm_after_overwriting, ["conv2d", "relu", "conv2d"]),
    ],
)
def test_norm_folds_only_where_nobody_else_reads(function: Function, expected_kinds: list[str]) -> None:
    """Folding changes the convolution's result, so a second reader of that result forbids it."""
    network = assert_same(randomize_statistics(Parts(function)))
    assert kinds(network) == expected_kinds


def relu_overwrites(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    z = m.relu(y)
    return m.other(z) + y


def functional_relu_overwrites(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    F.relu(y, inplace=True)
    return m.other(y)


def relu_overwrites_through_dropout(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    z = m.drop(y).relu_()
    return m.other(z) + y


def relu_overwrites_the_input(m: Parts, x: torch.Tensor) -> torch.Tensor:
    return m.conv(x.relu_()) + x


def sum_overwrites(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    z = y.add_(x)
    return m.other(z) + y


def torch_relu_overwrites(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    torch.relu_(y)
    return m.other(y)


def sum_into_a_second_name(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    z = y
    y += x
    return m.other(z) + y


def relu_does_not_overwrite(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    return m.other(F.relu(y)) + y


@pytest.mark.parametrize(
    "function",
    [
        relu_overwrites,
        functional_relu_overwrites,
        relu_overwrites_through_dropout,
        relu_overwrites_the_input,
        sum_overwrites,
        torch_relu_overwrites,
        sum_into_a_second_name,
        relu_does_not_overwrite,
    ],
)
def test_later_readers_see_what_an_in_place_function_wrote(function: Function) -> None:
    """A skip connection past an in-place ReLU carries its result, not its input; else the logits are wrong."""
    assert_same(Parts(function))


def auxiliary_head(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    _ = m.fc(F.relu(m.other(y)).flatten(1)).softmax(1)
    return m.norm(y)


def unused_relu_in_place(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    z = m.other(y)
    m.relu(z)
    return y


def output_in_between(m: Parts, x: torch.Tensor) -> torch.Tensor:
    return [m.conv(x), m.other(x)][0]


@pytest.mark.parametrize("function", [auxiliary_head, unused_relu_in_place, output_in_between])
def test_what_nobody_reads_is_dropped(function: Function) -> None:
    """A head that only training needs costs nothing and is announced to nobody, and hinders no folding."""
    network = assert_same(randomize_statistics(Parts(function)))
    assert kinds(network) == ["conv2d"]
    assert network.parameters.keys() == {"conv"}
    assert Architecture.from_json(network.architecture.to_json()) == network.architecture


def two_residual_blocks(m: Parts, x: torch.Tensor) -> torch.Tensor:
    identity = x
    y = m.relu(m.layers[1](m.layers[0](x)))
    y = m.layers[3](m.layers[2](y))
    y += identity
    x = m.relu(y)
    y = m.layers[5](m.layers[4](x))
    y += m.layers[6](m.other(x))
    return m.fc(m.relu(y).flatten(1))


def test_residual_network() -> None:
    """Two blocks as in ResNets, one with a projection: positions of the operands survive the folding of the norms."""
    model = Parts(two_residual_blocks)
    layers = [layer for _ in range(3) for layer in (nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2))]
    model.layers = nn.ModuleList([*layers, nn.BatchNorm2d(2)])
    network = assert_same(randomize_statistics(model))
    block = ["conv2d", "relu", "conv2d", "add", "relu"]
    assert kinds(network) == [*block, "conv2d", "conv2d", "add", "relu", "flatten", "linear"]
