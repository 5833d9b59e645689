"""Weights are rounded to integers so that the errors cancel on the owner's data."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.program import Program
from smule_crypten.fixed_point.rounding import MAX_COLUMNS, compensated, remedies
from smule_crypten.fixed_point.scales import Scales, fit, plain_values, weight_unit
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import translate

CONFIG = SchemeConfig(name="lean", precision_bits=10, options={"ring_bits": 24, "input_bits": 8})


def fitted(network: nn.Module, inputs_NX: torch.Tensor) -> tuple[Program, Parameters, Scales, Parameters]:
    translated = translate(network, tuple(inputs_NX.shape[1:]))
    program = lower(translated.architecture, CONFIG)
    values = plain_values(program, translated.parameters, inputs_NX)
    scales, found = fit(program, translated.parameters, values, 2, "differences"), remedies(program, values)
    return program, translated.parameters, scales, compensated(program, translated.parameters, scales, found)


def smooth_images(count: int, size: int, seed: int) -> torch.Tensor:
    """Neighbouring pixels are alike, as in photographs."""
    noise = torch.randn(count, 3, size // 4, size // 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(noise, scale_factor=4, mode="bilinear")


def nearest(program: Program, parameters: Parameters, scales: Scales) -> Parameters:
    rounded = dict(parameters)
    for position, step in enumerate(program.steps):
        if step.kind == "product":
            weight, bias = parameters[step.name]
            unit = weight_unit(step, scales.scales[step.inputs[0]], scales.scales[position])
            rounded[step.name] = (weight.double() * unit).round() / unit, bias
    return rounded


@pytest.mark.parametrize("pool", [nn.AvgPool2d(2), nn.Identity()])
def test_errors_cancel_on_images_never_seen(pool: nn.Module) -> None:
    """Protects: the accuracy of narrow rings, of which rounding the weights takes by far the most."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), pool, nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)).eval()
    network(torch.zeros(1, 3, 16, 16))
    program, parameters, scales, adjusted = fitted(network, smooth_images(128, 16, seed=1))
    unseen = smooth_images(64, 16, seed=2)
    exact, ours, plain = (
        plain_values(program, given, unseen)[-1]
        for given in (parameters, adjusted, nearest(program, parameters, scales))
    )
    assert (ours - exact).abs().mean() < 0.7 * (plain - exact).abs().mean()


def test_weights_are_whole_multiples_of_their_unit() -> None:
    """Protects: what is masked and sent is exactly what the biases were fitted to."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(MAX_COLUMNS + 128, 5), nn.ReLU(), nn.Linear(5, 3, bias=False))
    inputs = torch.rand(40, 1, 36, 32)
    program, parameters, scales, adjusted = fitted(network, inputs)
    for position, step in enumerate(program.steps):
        if step.kind == "product":
            unit = weight_unit(step, scales.scales[step.inputs[0]], scales.scales[position])
            integers = adjusted[step.name][0].double() * unit
            assert torch.allclose(integers, integers.round(), rtol=0, atol=1e-6)
            assert (integers - parameters[step.name][0].double() * unit).abs().max() < 20


def test_groups_are_left_as_they_are() -> None:
    """A convolution of groups is rounded to the nearest integers, when it is used."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 3))
    program, parameters, _, adjusted = fitted(network, smooth_images(32, 8, seed=1))
    first, last = (step.name for step in program.products)
    assert torch.equal(adjusted[first][0], parameters[first][0])
    assert not torch.equal(adjusted[last][0], parameters[last][0])
