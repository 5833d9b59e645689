"""What D sees and what D gets, together: nothing that D knows of an error may say anything about the logits.

One sample is asked about again and again, so the logits vary by errors alone. If D knew a part of an error, that part
would go with the logits, in proportion to the secret weights that lie between. The owner's noise on the logits is left
out: the protocol itself is on trial. (It does know a part: t bits are what makes it too small to be seen in so many
answers, and noise is what hides it in all of them.)
"""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import numpy as np
import pytest
import torch
from lean_harness import Message
from scipy.stats import chisquare
from torch import nn
from two_party_harness import direction, two_party_config
from two_party_views import SHAPE, ask, correlations

from smule_crypten.mpc.packing import signed
from smule_crypten.mpc.streams import Stream
from smule_crypten.two_party import model_owner
from smule_crypten.types import LogitOpening

REPEATS = 4096


def mlp(outputs: int = 3) -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, outputs))


def all_kinds_of_openings() -> nn.Module:
    """A truncation alone, maxima and a ReLU."""
    torch.manual_seed(6)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, 1, 1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)
    )


def two_linear_layers() -> nn.Module:
    """A truncation that no ReLU follows: a convolution and a matrix stay two products."""
    torch.manual_seed(7)
    return nn.Sequential(nn.Conv2d(1, 2, 2, 2), nn.Flatten(), nn.Linear(8, 3))


class Residual(nn.Module):
    """A sum, of which D does not know its share beforehand."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.first, self.inner, self.last = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 3, 1, 1), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        result: torch.Tensor = self.last(torch.relu(self.inner(x) + x).flatten(1))
        return result


@pytest.mark.parametrize("factor", [1.0, 7.0, 30.0], ids=["in range", "some values wrap", "most values wrap"])
@pytest.mark.parametrize("network", [mlp, all_kinds_of_openings, two_linear_layers, Residual])
def test_nothing_that_the_data_owner_knows_goes_with_its_output(
    network: Callable[[], nn.Module], factor: float
) -> None:
    """Also where hidden values wrap: that must follow from the values alone."""
    asked = ask(network(), REPEATS, seed=1, factor=factor)
    assert float(asked.logits_NC.std(0).min()) > 0
    assert asked.alarms() == set()


@pytest.mark.parametrize("outputs", [3, 1])
def test_nothing_goes_with_the_values(outputs: int) -> None:
    """The same claim where each value is opened, what the outputs have in common included."""
    asked = ask(mlp(outputs), REPEATS, seed=1, opening="values")
    assert float(asked.logits_NC.std(0).min()) > 0
    assert asked.alarms() == set()


@pytest.mark.parametrize(("guard_bits", "found"), [(0, {"dropped", "rounding of b", "e"}), (2, {"dropped"})])
@pytest.mark.parametrize("opening", ["differences", "values"])
def test_too_few_guard_bits_are_found(guard_bits: int, found: set[str], opening: LogitOpening) -> None:
    """Control: with t = 0 or 2 the same test sees what D drops of its share and of b; in a lattice that fits such a t
    closely, even e."""
    assert ask(mlp(), REPEATS, seed=2, guard_bits=guard_bits, opening=opening).alarms() >= found


def without_rho(share: torch.Tensor, modulus_bits: int, width: int, local: Stream) -> torch.Tensor:
    return signed(share >> (modulus_bits - width), width)


def test_a_model_owner_that_rounds_its_share_without_rho_is_found() -> None:
    """Control: what M drops then follows from the value and D's share, whose lowest bits D knows. The input has more
    bits than by default, so that its error does not stir the values by a unit."""
    assert ask(mlp(), REPEATS, seed=3, input_bits=18).alarms() == set()
    with mock.patch.object(model_owner, "model_owner_share", without_rho):
        assert "below a unit" in ask(mlp(), REPEATS, seed=3, input_bits=18).alarms()


def test_the_error_of_the_input_is_another_image() -> None:
    """D knows it, and it does go with the answers: exactly as those of the network to that image do, and no more."""
    model = mlp()
    asked = ask(model, REPEATS, seed=4)
    with torch.no_grad():
        sample = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1)).double()
        moved = model.double()(sample + asked.image_error.view(-1, *SHAPE) / 2.0**10)
    moved -= moved.mean(1, keepdim=True)
    limit = 5 / REPEATS**0.5
    seen, left = asked.logits_NC.double(), asked.logits_NC.double() - (moved - moved.mean(0))
    errors = asked.image_error.T
    assert np.abs(correlations(errors, seen.T)).max() > 2 * limit
    assert np.abs(correlations(errors, left.T)).max() < limit
    assert float(asked.image_error.abs().max()) < 0.1


def messages(x: torch.Tensor, seed: int) -> list[Message]:
    """What crosses for 256 samples; fields of 256 values fill their bytes."""
    torch.manual_seed(9)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))
    run = direction(model, x, two_party_config(micro_batch=256), seed=seed, calibration_NX=torch.ones(1, *SHAPE))
    return run.run()[1]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_every_message_is_uniform_by_itself(value: float) -> None:
    """Whatever the inputs: byte by byte, over a few runs. (The last one holds logits: D sees differences.)"""
    x = torch.full((256, *SHAPE), value)
    scale, *others, _ = zip(*(messages(x, seed) for seed in range(4)), strict=True)
    assert {message.post.data.nbytes for message in scale} == {1}
    sent = [torch.cat([message.post.data for message in same]) for same in others]
    sent = [data for data in sent if len(data)]
    assert len(sent) > 10
    for data in sent:
        assert chisquare(torch.bincount(data.long(), minlength=256).numpy()).pvalue > 1e-6
