"""The owner of a network sees what fixed point makes of it before the first answer."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import UnshareableModelError
from smule_crypten.inference.noise import LEAST_NOISE, NoiseRule
from smule_crypten.inference.precision import check_precision, precision_of
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.translate import TranslatedNetwork, translate

SHAPE = (1, 4, 4)
NOISE = NoiseRule.without_protection()


class Unequal(nn.Module):
    """Two terms of a sum, of which the small one alone decides the logits: both stand at one scale."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.small, self.large = nn.Conv2d(1, 4, 1), nn.Conv2d(1, 4, 1)
        self.after, self.last = nn.Conv2d(4, 4, 1), nn.Linear(64, 3)
        with torch.no_grad():
            self.large.weight *= factor
            self.after.weight /= factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        small = torch.relu(self.small(x))
        total = torch.relu(small + self.large(x))
        logits: torch.Tensor = self.last((small + self.after(total)).flatten(1))
        return logits


def network(factor: float) -> TranslatedNetwork:
    return translate(Unequal(factor).eval(), SHAPE)


def inputs() -> torch.Tensor:
    return torch.randn(64, *SHAPE, generator=torch.Generator().manual_seed(1))


def lean(ring_bits: int, precision_bits: int) -> SchemeConfig:
    return SchemeConfig(name="lean", precision_bits=precision_bits, options={"ring_bits": ring_bits, "input_bits": 6})


CRYPTEN = SchemeConfig(name="crypten", precision_bits=8)


@pytest.mark.parametrize("config", [lean(32, 14), CRYPTEN], ids=lambda config: config.name)
def test_an_ordinary_network_passes_in_silence(config: SchemeConfig, caplog: pytest.LogCaptureFixture) -> None:
    """No warning where nothing is lost."""
    with caplog.at_level(logging.WARNING):
        scheme_class(config.name).answerer_of(network(1.0), inputs(), config, NOISE)
    assert caplog.messages == []


def test_a_network_that_fixed_point_ruins_is_refused_with_the_width_that_mends_it() -> None:
    """Silently wrong answers before; and the remedy is true."""
    with pytest.raises(
        UnshareableModelError, match=r"fixed point changes logits of standard deviation .* by up to"
    ) as refused:
        scheme_class("lean").answerer_of(network(10.0), inputs(), lean(17, 10), NOISE)
    ring_bits = int(str(refused.value).split("set scheme.options.ring_bits=")[1].split()[0])
    scheme_class("lean").answerer_of(network(10.0), inputs(), lean(ring_bits, 10), NOISE)


@pytest.mark.parametrize(
    ("config", "factor", "setting"), [(lean(18, 10), 1.0, "ring_bits=36"), (CRYPTEN, 1e3, "precision_bits=13")]
)
def test_what_is_lost_visibly_is_worth_a_warning(
    config: SchemeConfig, factor: float, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Between harmless and ruined there is a line in the log, with the remedy."""
    with caplog.at_level(logging.WARNING):
        scheme_class(config.name).answerer_of(network(factor), inputs(), config, NOISE)
    assert ["answers are imprecise" in line and setting in line for line in caplog.messages] == [True]


def test_each_value_is_judged_by_itself() -> None:
    """A target that is ruined is found beside one on a large scale; what the noise covers anyway, and an output that
    says nothing, are no faults.
    """
    plain_NC = torch.tensor([[0.0, 1.0, 0.0, 7.0], [1000.0, 1.1, 1e-4, 7.0]], dtype=torch.float64)
    evaluated_NC = plain_NC + torch.tensor([0.0, 0.05, 0.9 * LEAST_NOISE, 3.0])
    found = precision_of(evaluated_NC, plain_NC, "values")
    assert (found.signal.output, found.error) == (1, pytest.approx(0.05))
    with pytest.raises(UnshareableModelError, match=r"fixed point changes output 1 of standard deviation 0\.071"):
        check_precision(found, ())
    assert precision_of(evaluated_NC[:, [0, 2, 3]], plain_NC[:, [0, 2, 3]], "values").share == 0.0
