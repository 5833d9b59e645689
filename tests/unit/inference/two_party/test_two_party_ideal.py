"""The ideal function: what the roles compute, in distribution; and the noise that M makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lean_networks import NETWORKS, UNEQUAL_WINDOWS
from lean_networks import SHAPE as LARGER
from torch import nn
from two_party_harness import direction, two_party_config

from smule_crypten.errors import ConfigError, UnshareableModelError
from smule_crypten.fixed_point.clear import ClearEvaluator
from smule_crypten.fixed_point.scales import integer_parameters
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.fixed_point_answers import FixedPointAnswerer
from smule_crypten.inference.noise import MU, NoiseRule, Scatter, hiding_noise
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.two_party.ideal import IdealFunction, wrapped
from smule_crypten.inference.two_party.scheme import TwoPartyScheme
from smule_crypten.lattice.parameters import GUARD_BITS
from smule_crypten.models.translate import translate
from smule_crypten.mpc.packing import signed
from smule_crypten.two_party.plan import DirectionPlan, plan_direction
from smule_crypten.types import LogitOpening

SHAPE = (1, 4, 4)
REPEATS = 8192
CPU = torch.device("cpu")


def mlp() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3))


def pooled() -> nn.Module:
    torch.manual_seed(10)
    layers = nn.Conv2d(1, 2, 3, padding=1), nn.AvgPool2d(2), nn.ReLU(), nn.Conv2d(2, 2, 2, padding=1), nn.ReLU()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(18, 3))


def maxima() -> nn.Module:
    """A truncation alone, maxima and a ReLU."""
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, 1, 1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)
    )


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.first, self.inner, self.last = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 3, 1, 1), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        result: torch.Tensor = self.last(torch.relu(self.inner(x) + x).flatten(1))
        return result


class UsedTwice(nn.Module):
    """A product is rounded twice, for a ReLU and for a product, and both go into the same sum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(12)
        self.first, self.rectified, self.plain = nn.Linear(16, 8), nn.Linear(8, 3), nn.Linear(8, 3)
        with torch.no_grad():
            self.first.bias += 4.0  # all units are active
            self.plain.weight.copy_(self.rectified.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x.flatten(1))
        result: torch.Tensor = self.rectified(torch.relu(x)) + self.plain(x)
        return result


def function_of(answerer: FixedPointAnswerer, plan: DirectionPlan, seed: int, **options: bool) -> IdealFunction:
    generator = torch.Generator().manual_seed(seed)
    return IdealFunction(plan, answerer.parameters, answerer.scales, generator, CPU, **options)


NOTHING_BELOW = [(network, 0) for network in (mlp, pooled, Residual, UsedTwice)]
CASES = [(network, GUARD_BITS) for network in (mlp, pooled, maxima, Residual)] + NOTHING_BELOW


@pytest.mark.parametrize(("network", "guard_bits"), CASES)
@pytest.mark.parametrize("opening", ["differences", "values"])
def test_the_answers_are_those_of_the_ideal_function(
    network: Callable[[], nn.Module], guard_bits: int, opening: LogitOpening
) -> None:
    """One sample asked about again and again: the roles' logits have its mean, deviations and correlations, within
    chance. With t = 0 the part that D knows is no longer small beside the rest."""
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    config, sample = two_party_config(micro_batch=REPEATS // 2), x.expand(REPEATS, *SHAPE)
    run = direction(network(), sample, config, seed=3, opening=opening, calibration_NX=x, guard_bits=guard_bits)
    real_NC = run.run()[0].double()
    ideal_NC = function_of(run.answerer, run.plan, 4).logits(sample, opening)
    deviation = ideal_NC.std(0)
    assert float(deviation.min()) > 1e-6  # far above float32, in which the roles give their logits
    assert bool(((real_NC.mean(0) - ideal_NC.mean(0)).abs() < 5 * deviation * (2 / REPEATS) ** 0.5).all())
    assert torch.allclose(real_NC.std(0), deviation, rtol=0.06)
    correlations = [values.T.corrcoef().reshape(len(deviation), -1) for values in (real_NC, ideal_NC)]
    assert torch.allclose(*correlations, rtol=0, atol=5.5 * (2 / REPEATS) ** 0.5)


@pytest.mark.parametrize("name", [*NETWORKS, *UNEQUAL_WINDOWS])
def test_it_computes_what_scheme_lean_computes(name: str) -> None:
    """Every way in which layers meet, but for roundings: a handful of the last bits of hidden values."""
    torch.manual_seed(2)
    model = (NETWORKS | UNEQUAL_WINDOWS)[name]().eval()
    x = torch.randn(12, *LARGER, generator=torch.Generator().manual_seed(3))
    network, rule = translate(model, LARGER), NoiseRule.without_protection()
    found = TwoPartyScheme.answerer_of(network, x, two_party_config(), rule)
    plan = plan_direction(network.architecture, [len(x)], two_party_config())
    logits_NC = function_of(found, plan, 1).logits(x)
    lean = ClearEvaluator(found.program, found.parameters, found.scales, torch.Generator().manual_seed(1), CPU)
    assert logits_NC.shape == (12, 3)
    assert float((logits_NC - lean.logits(x)).abs().max()) < 2e-3 * float(logits_NC.abs().max())


@pytest.mark.parametrize("bits", [3, 18, 41])
def test_wrapping_is_that_of_integers(bits: int) -> None:
    values = torch.randint(-(1 << 44), 1 << 44, (1000,), generator=torch.Generator().manual_seed(1))
    values = torch.cat([values, torch.tensor([(1 << (bits - 1)) - 1, 1 << (bits - 1), -(1 << (bits - 1))])])
    assert torch.equal(wrapped(values.double(), bits), signed(values, bits).double())


def prepared(model: nn.Module, x: torch.Tensor, rule: NoiseRule | None = None, **options: Any) -> Answerer:
    network = translate(model.eval(), tuple(x.shape[1:]))
    return TwoPartyScheme.answerer_of(network, x, two_party_config(**options), rule or NoiseRule.without_protection())


def one_hidden_layer() -> tuple[nn.Module, torch.Tensor]:
    """All units are active on all samples, so that errors reach the logits linearly."""
    torch.manual_seed(9)
    model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 5))
    x = torch.rand(40, 16, generator=torch.Generator().manual_seed(1)) + 0.5
    with torch.no_grad():
        model[0].weight.abs_()
    return model, x


def test_what_the_data_owner_knows_is_what_follows_by_hand() -> None:
    """Of one hidden layer: D drops a uniform 2^-t of each unit, and b has its error; both times the last weights. And
    M's rounding is a coin in each unit, thrown at random: a variance of 1/6."""
    model, x = one_hidden_layer()
    found = prepared(model, x)
    assert isinstance(found, FixedPointAnswerer)
    weights, _ = integer_parameters(found.program, found.parameters, found.scales)
    last_CU = weights[found.program.products[-1].name].double() / 2.0**found.scales.output
    last_CU = last_CU - last_CU.mean(0)
    plan = plan_direction(found.network.architecture, [40], found.config)
    known = 4.0**-GUARD_BITS / 12 + plan.lattice.known_deviation(plan.lattice.hand_overs[-1]) ** 2
    assert found.scatter.known == pytest.approx(2 * known * float(last_CU.square().sum()), rel=0.5)
    norm = float((last_CU @ last_CU.T).norm())
    assert found.scatter.unknown == pytest.approx(2 * norm / 6, rel=0.3)


def test_the_noise_hides_both_parts() -> None:
    """The announced deviation solves the bound for what is known and what is not; without the known part, less would
    have done."""
    model, x = one_hidden_layer()
    scatter = prepared(model, x).scatter
    sigma = hiding_noise(scatter, 10_000)
    spent = 10_000 * (scatter.known / sigma**2 + scatter.unknown**2 / (2 * sigma**4))
    assert spent == pytest.approx(MU**2, rel=1e-6)
    assert sigma > 1.02 * hiding_noise(Scatter(unknown=scatter.unknown), 10_000)
    announced = prepared(model, x, NoiseRule(num_answers=10**7)).terms.logit_noise
    assert hiding_noise(scatter, 10**7) <= announced <= 1.2 * hiding_noise(scatter, 10**7)


def test_each_guard_bit_quarters_what_is_known() -> None:
    """By the ideal function without M's rounding, over repeats."""
    model, x = one_hidden_layer()
    found = prepared(model, x)
    assert isinstance(found, FixedPointAnswerer)
    sizes = []
    for guard_bits in (2, 4):
        plan = plan_direction(found.network.architecture, [40], found.config, guard_bits=guard_bits)
        known = function_of(found, plan, 5, of_input=False, of_model_owner=False)
        evaluations = torch.stack([known.logits(x) for _ in range(40)])
        sizes.append(float((evaluations - evaluations.mean(0)).square().mean()))
    assert sizes[0] / sizes[1] == pytest.approx(16, rel=0.25)


def test_weights_that_the_lattice_cannot_take_are_refused_before_anything_is_announced() -> None:
    """Inputs of a few units and weights that make much of them: as masking them would say, and when they are fitted."""
    model = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 3))
    x = 2.0**-11 * torch.randn(40, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model[0].weight *= 2.0**11
    with pytest.raises(UnshareableModelError, match=r"weights of output .* as its error allows; .*input_bits"):
        prepared(model, x)


@pytest.mark.parametrize("precision_bits", [14, 20])
def test_the_widest_ring(precision_bits: int) -> None:
    """46 bits: an output takes 9 more, and the lattice 64 bits in all. 47 are refused by the layer and what helps."""
    architecture = translate(mlp(), SHAPE).architecture
    plan = plan_direction(architecture, [4], two_party_config(precision_bits=precision_bits, ring_bits=46))
    assert plan.lattice.lattice.modulus_bits == 64
    for ring_bits in (47, 48, 56):
        with pytest.raises(UnshareableModelError, match=r"layer .*lower scheme.options.ring_bits, by \d"):
            plan_direction(architecture, [4], two_party_config(precision_bits=precision_bits, ring_bits=ring_bits))


def test_options_are_those_of_lean_but_for_its_tables() -> None:
    """Same meaning and same defaults; what would have no effect is refused."""
    lean, own = (scheme_class(name).check_options for name in ("lean", "two_party"))
    config = two_party_config()
    assert own(config) == {
        key: value for key, value in lean(config.model_copy(update={"name": "lean"})).items() if key != "block_bits"
    }
    with pytest.raises(ConfigError, match=r"scheme.options.block_bits: unknown option"):
        own(two_party_config(block_bits=3))
    assert math.isclose(TwoPartyScheme.input_limit(config), 2.0**7)
