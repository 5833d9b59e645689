"""Channels are brought closer together, and the network stays the same function."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.fixed_point.clear import ClearEvaluator
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.plaintext import evaluate_plaintext
from smule_crypten.models.equalise import HEADROOM_BITS, equalised
from smule_crypten.models.translate import translate

SHAPE = (2, 8, 8)


class Residual(nn.Module):
    """Sums of two branches, a depthwise convolution, and a value that two layers read."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.pointwise = nn.Conv2d(6, 6, 1)
        self.grouped = nn.Conv2d(6, 4, 1, groups=2)
        self.last = nn.Linear(4 * 16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.pointwise(torch.relu(self.depthwise(x))))
        x = nn.functional.max_pool2d(torch.relu(self.grouped(x)), 2)
        logits: torch.Tensor = self.last(x.flatten(1))
        return logits


def over_time() -> nn.Module:
    """Convolutions over time, a pooling and a value that is flattened channel by channel."""
    layers = [nn.Conv1d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv1d(6, 4, 3, groups=2), nn.ReLU(), nn.AvgPool1d(3)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3))


def on_vectors() -> nn.Module:
    return nn.Sequential(nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def spread_out(model: nn.Module, decades: float) -> nn.Module:
    """Rows of hidden weights multiplied by factors of many sizes."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for layer in layers[:-1]:
            factors = torch.logspace(-decades, decades, len(layer.weight))
            layer.weight *= factors.view(-1, *[1] * (layer.weight.dim() - 1))
            if layer.bias is not None:
                layer.bias *= factors
    return model.eval()


def sequential() -> nn.Module:
    layers = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 5), nn.ReLU()
    return nn.Sequential(*layers, nn.Linear(5, 3))


def inputs(shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(64, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("make", "shape"), [(Residual, SHAPE), (sequential, SHAPE), (over_time, (2, 14)), (on_vectors, (9,))]
)
@pytest.mark.parametrize("least", [None, 32.0])
def test_the_function_stays_the_same(
    make: Callable[[], nn.Module], shape: tuple[int, ...], least: float | None
) -> None:
    """Whatever shares channels: logits agree to what float64 leaves, on inputs that were not looked at, too."""
    torch.manual_seed(1)
    network = translate(spread_out(make(), 2.0), shape)
    changed = equalised(network, inputs(shape), least)
    assert changed.architecture == network.architecture
    assert any(not torch.equal(changed.parameters[name][0], network.parameters[name][0]) for name in network.parameters)
    for x in (inputs(shape), 3 * inputs(shape).flip(0)):
        before, after = evaluate_plaintext(network, x), evaluate_plaintext(changed, x)
        assert torch.allclose(before, after, rtol=1e-5, atol=1e-6 * float(before.abs().max()))


def test_small_channels_are_raised_and_large_ones_left() -> None:
    """Every hidden channel ends within the headroom of the largest, which stays; a dead one stays as it is."""
    torch.manual_seed(1)
    model = spread_out(nn.Sequential(nn.Conv2d(2, 5, 1), nn.ReLU(), nn.Flatten(), nn.Linear(320, 3)), 3.0)
    with torch.no_grad():
        model[0].weight[2], model[0].bias[2] = 0.0, 0.0  # type: ignore[index,operator]
    network = translate(model, SHAPE)
    weight, _ = equalised(network, inputs()).parameters["_0"]
    factors = (weight / network.parameters["_0"][0])[:, 0, 0, 0]
    hidden = model[0](inputs()).abs().transpose(0, 1).flatten(1).amax(1)  # type: ignore[index,operator]
    assert float(factors[4]) == 1.0
    assert bool(torch.isnan(factors[2]))
    raised = hidden[[0, 1, 3]] * factors[[0, 1, 3]]
    assert bool((raised > hidden[4] / 2 ** (HEADROOM_BITS + 1)).all())
    assert bool((raised <= hidden[4] / 2**HEADROOM_BITS).all() or (factors[3] == 1.0))


@pytest.mark.parametrize(
    ("make", "decades"), [(Residual, 1.0), (sequential, 1.0), (sequential, 2.0), (sequential, 3.0)]
)
def test_unequal_channels_lose_no_precision(make: type[nn.Module], decades: float) -> None:
    """Protects: what lean computes for a network whose channels differ by factors of up to a million."""
    torch.manual_seed(2)
    network = translate(spread_out(make(), decades), SHAPE)
    config = SchemeConfig(name="lean", precision_bits=14)
    answerer = LeanScheme.answerer_of(network, inputs(), config, NoiseRule.without_protection())
    generator = torch.Generator().manual_seed(3)
    evaluator = ClearEvaluator(answerer.program, answerer.parameters, answerer.scales, generator, torch.device("cpu"))
    expected = evaluate_plaintext(network, inputs()).double()
    expected -= expected.mean(1, keepdim=True)
    error = float((evaluator.logits(inputs()) - expected).abs().max())
    assert error < 0.003 * float(expected.abs().max())
