"""What D sees and what D gets, together: nothing that D knows of a rounding may say anything about the logits.

One sample is asked about again and again under fresh keys, so the logits vary by rounding alone. If D knew a part of a
rounding error, that part would go with the logits, in proportion to the secret weights that lie between. The owner's
noise on the logits is left out: the protocol itself is on trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from lean_harness import direction, lean_config
from lean_views import FALSE_ALARM, SeeingDataOwner
from scipy.stats import norm
from torch import nn

from smule_crypten.fixed_point.clear import ClearEvaluator
from smule_crypten.inference.lean import dealing
from smule_crypten.inference.lean.dealing import PackedFields
from smule_crypten.mpc.packing import packed_bytes
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import LogitOpening

REPEATS = 4096
SHAPE = (1, 4, 4)


class OneAnswerManyTimes:
    """Knowledge of D, (columns, REPEATS), and its logits of one sample, (REPEATS, 3). The sample is `factor` times as
    large as the one that the network was fitted to."""

    def __init__(self, model: nn.Module, seed: int, factor: float = 1.0, opening: LogitOpening = "differences") -> None:
        x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1)).expand(REPEATS, *SHAPE)
        run = direction(
            model,
            factor * x,
            lean_config(micro_batch=REPEATS),
            seed=seed,
            calibration_NX=x[:1],
            data_owner_class=SeeingDataOwner,
            opening=opening,
        )
        self.logits_NC, _ = run.run()
        assert isinstance(run.data_owner, SeeingDataOwner)
        self.names, columns = [], []
        for number, known in enumerate(run.data_owner.knowledge):
            for name, values in known.items():
                self.names.append(f"{name} {number}")
                columns.append(values.view(REPEATS, -1).T)
        self.columns = columns

    def alarms(self) -> set[str]:
        """What goes with a logit, or with what they have in common, more than chance allows."""
        seen_CN = torch.cat([self.logits_NC, self.logits_NC.mean(1, keepdim=True)], dim=1).T
        tests = len(seen_CN) * sum(len(column) for column in self.columns)
        limit = norm.isf(FALSE_ALARM / tests) / REPEATS**0.5
        return {
            name
            for name, column in zip(self.names, self.columns, strict=True)
            if np.abs(_correlations(column, seen_CN)).max() > limit
        }


def _correlations(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    """Between rows."""
    parts = [rows.double() - rows.double().mean(1, keepdim=True) for rows in (first, second)]
    one, other = (part / part.norm(dim=1, keepdim=True).clamp(min=1e-12) for part in parts)
    return (one @ other.T).numpy()


def mlp() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3))


def all_kinds_of_openings() -> nn.Module:
    """A truncation alone, maxima and a ReLU."""
    torch.manual_seed(6)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, 1, 1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)
    )


NETWORKS = [mlp, all_kinds_of_openings]


def two_linear_layers() -> nn.Module:
    """A truncation that no ReLU follows: a convolution and a matrix stay two products."""
    torch.manual_seed(7)
    return nn.Sequential(nn.Conv2d(1, 2, 2, 2), nn.Flatten(), nn.Linear(8, 3))


@pytest.mark.parametrize("factor", [1.0, 7.0, 30.0], ids=["in range", "some values wrap", "most values wrap"])
@pytest.mark.parametrize("network", [*NETWORKS, two_linear_layers])
def test_nothing_that_the_data_owner_knows_goes_with_its_output(
    network: Callable[[], nn.Module], factor: float
) -> None:
    """Protects the proof's one claim about view and output together, also where hidden values wrap: that must follow
    from the values alone.
    """
    asked = OneAnswerManyTimes(network(), seed=1, factor=factor)
    assert float(asked.logits_NC.std(0).min()) > 0
    assert asked.alarms() == set()


def without_part_of_the_model_owner(draw: Callable[..., PackedFields]) -> Callable[..., PackedFields]:
    """rho_M is zero at M and at T, so that D knows rho."""
    streams: dict[int, bool] = {}

    def drawn(fields: dict[str, tuple[int, int]], stream: Stream) -> PackedFields:
        found = draw(fields, stream)
        # The dealer draws from both streams in turn, M's first; M draws from its own alone.
        first = streams.setdefault(id(stream), not streams)
        if "rounding" not in fields or not first:
            return found
        data, start = found.data.clone(), packed_bytes(*fields["mask"])
        data[start : start + packed_bytes(*fields["rounding"])] = 0
        return PackedFields(data, found.fields)

    return drawn


@pytest.fixture
def known_rounding() -> Iterator[None]:
    """A broken protocol: rho = rho_D."""
    at_dealer, at_model_owner = (without_part_of_the_model_owner(dealing.draw) for _ in range(2))
    with (
        mock.patch.object(dealing, "draw", at_dealer),
        mock.patch("smule_crypten.inference.lean.model_owner.draw", at_model_owner),
    ):
        yield


def outputs_alike() -> nn.Module:
    """Errors reach all outputs in the same way: only what they have in common scatters."""
    torch.manual_seed(8)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        network[-1].weight.copy_(network[-1].weight[:1].clone())
    return network


def one_output() -> nn.Module:
    torch.manual_seed(9)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 1))


FOR_VALUES = [mlp, outputs_alike, one_output]
BOTH = [(network, "differences") for network in NETWORKS] + [(network, "values") for network in FOR_VALUES]


@pytest.mark.parametrize("factor", [1.0, 30.0], ids=["in range", "most values wrap"])
@pytest.mark.parametrize("network", FOR_VALUES)
def test_nothing_that_the_data_owner_knows_goes_with_the_values(
    network: Callable[[], nn.Module], factor: float
) -> None:
    """The same claim where each value is opened, what the outputs have in common included."""
    asked = OneAnswerManyTimes(network(), seed=1, factor=factor, opening="values")
    assert float(asked.logits_NC.std(0).min()) > 0
    assert asked.alarms() == set()


@pytest.mark.usefixtures("known_rounding")
@pytest.mark.parametrize(("network", "opening"), BOTH)
def test_a_rounding_that_the_data_owner_knows_is_found(network: Callable[[], nn.Module], opening: LogitOpening) -> None:
    """Control: with D's part of rho alone, the same test sees it at once."""
    asked = OneAnswerManyTimes(network(), seed=2, opening=opening)
    assert {name.rsplit(" ", 1)[0] for name in asked.alarms()} >= {"own part of rho"}


@pytest.mark.usefixtures("known_rounding")
def test_differences_hide_the_errors_that_outputs_have_in_common() -> None:
    """Control of the outputs that are alike: of these errors the differences show nothing at all."""
    asked = OneAnswerManyTimes(outputs_alike(), seed=2)
    assert float(asked.logits_NC.std(0).max()) == 0.0


@pytest.mark.parametrize(("network", "opening"), BOTH)
def test_the_answers_are_those_of_the_ideal_function(network: Callable[[], nn.Module], opening: LogitOpening) -> None:
    """The protocol's logits have the mean and the covariance of the ideal function's, within chance."""
    asked = OneAnswerManyTimes(network(), seed=3, opening=opening)
    model = network()
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1)).expand(REPEATS, *SHAPE)
    run = direction(model, x, lean_config(micro_batch=REPEATS), opening=opening)
    ideal = ClearEvaluator(
        run.program, run.network.parameters, run.scales, torch.Generator().manual_seed(4), torch.device("cpu")
    ).logits(x, opening)
    real: Any = asked.logits_NC.double()
    deviation = ideal.std(0)
    assert ((real.mean(0) - ideal.mean(0)).abs() < 6 * deviation * (2 / REPEATS) ** 0.5).all()
    assert torch.allclose(real.std(0), deviation, rtol=0.1)
    covariances = [values.T.cov().reshape(len(deviation), -1) for values in (real, ideal)]
    assert torch.allclose(*covariances, rtol=0, atol=0.1 * float(deviation.max()) ** 2)
