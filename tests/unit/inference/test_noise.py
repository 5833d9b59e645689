"""How much noise the rounding of a network's answers needs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import UnshareableModelError
from smule_crypten.fixed_point.clear import ClearEvaluator
from smule_crypten.inference.answerer import NOISE_ROOM, Answerer
from smule_crypten.inference.crypten_scatter import SharesInTheClear
from smule_crypten.inference.fixed_point_answers import FixedPointAnswerer
from smule_crypten.inference.noise import (
    LEAST_NOISE,
    MU,
    NoiseRule,
    Scatter,
    Signal,
    hiding_noise,
    measured_scatter,
    signal_of,
)
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.translate import TranslatedNetwork, translate
from smule_crypten.types import LogitOpening, opened_logits

SHAPE = (1, 8, 8)
OPENINGS: tuple[LogitOpening, ...] = ("differences", "values")


def module() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, 1, 1), nn.AvgPool2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 5)
    return nn.Sequential(*layers).eval()


def network() -> TranslatedNetwork:
    return translate(module(), SHAPE)


def inputs() -> torch.Tensor:
    return torch.randn(40, *SHAPE, generator=torch.Generator().manual_seed(1))


@given(st.floats(0, 1e3), st.floats(0, 1e3), st.integers(1, 10**7))
def test_the_noise_solves_the_bound(known: float, unknown: float, num_answers: int) -> None:
    """mu^2 = Q (known / sigma^2 + unknown^2 / (2 sigma^4)) comes out as MU^2, whatever of it D knows."""
    if known + unknown < 1e-9:
        return
    sigma = hiding_noise(Scatter(known=known, unknown=unknown), num_answers)
    reached = num_answers * (known / sigma**2 + unknown**2 / (2 * sigma**4))
    assert reached == pytest.approx(MU**2, rel=1e-6)


def test_both_ends_of_the_formula() -> None:
    """By hand: (Q / 2)^(1/4) sqrt(|S|_F / mu) where nothing is known, sqrt(Q) rms / mu where everything is."""
    assert hiding_noise(Scatter(unknown=1e-6), 20_000) == pytest.approx(10 * math.sqrt(1e-6 / MU))
    assert hiding_noise(Scatter(known=1e-8), 10_000) == pytest.approx(100 * 1e-4 / MU)


def test_noise_is_never_less_than_announced() -> None:
    """Rounded up to a coarse grid, with a floor; what the owner adds on top adds in variance."""
    scatter = Scatter(unknown=1e-6)
    for num_answers in (1, 1_000, 50_000):
        needed = max(LEAST_NOISE, hiding_noise(scatter, num_answers))
        sigma = NoiseRule(num_answers=num_answers).sigma(scatter)
        assert needed <= sigma <= 1.19 * needed + 1e-12
        assert NoiseRule(num_answers=num_answers, extra=0.3).sigma(scatter) == pytest.approx(math.hypot(sigma, 0.3))
    assert NoiseRule.without_protection().sigma(scatter) == 0.0


def test_noise_that_drowns_the_answers_is_refused() -> None:
    """With a line that says what to change, and not before noise and signal are alike."""
    with pytest.raises(UnshareableModelError, match=r"raise scheme.options.ring_bits .*disclosure.max_answers_total"):
        NoiseRule(num_answers=10_000).sigma(Scatter(known=1e-4, signal=Signal(size=3.0)))
    assert NoiseRule(num_answers=10_000).sigma(Scatter(known=1e-6, signal=Signal(size=0.01))) == pytest.approx(
        1.0, rel=0.2
    )


def test_scatter_of_known_covariance() -> None:
    """|S|_F of normal deviations, correlated or not, doubled, from the sample that scatters most."""
    generator = torch.Generator().manual_seed(2)
    alike = torch.randn(400, 6, 1, generator=generator, dtype=torch.float64).expand(400, 6, 10)
    apart = torch.randn(400, 6, 10, generator=generator, dtype=torch.float64)
    for deviations, norm in ((alike, 10.0), (apart, math.sqrt(10))):
        found = measured_scatter(deviations, 6, is_known=False, opening="values")
        assert found.unknown == pytest.approx(2 * norm, rel=0.25)
        assert found.known == 0.0
    assert measured_scatter(apart, 6, is_known=True, opening="values").known == pytest.approx(2 * 10, rel=0.25)


def divergence(covariance: torch.Tensor, sigma: float) -> float:
    """By hand: KL of N(0, S + sigma^2 I) from N(0, sigma^2 I)."""
    ratios = torch.linalg.eigvalsh(covariance) / sigma**2
    return 0.5 * float((ratios - ratios.log1p()).sum())


def test_noise_for_values_covers_what_the_errors_have_in_common() -> None:
    """Errors that all labels share, and small ones of their own: mu / 2 bounds the distance of all answers, exactly.

    What is measured on centred logits does not.
    """
    num_answers, classes = 1000, 4
    common = 0.01 * torch.ones(classes, 1, dtype=torch.float64)
    own = 0.001 * torch.eye(classes, dtype=torch.float64)
    covariance = common @ common.T + own @ own.T
    errors = torch.randn(64, 3, classes + 1, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    evaluations_RNC = errors @ torch.cat([common, own], dim=1).T
    bound = (MU / 2) ** 2
    for opening in OPENINGS:
        seen_RNC = opened_logits(evaluations_RNC.flatten(0, 1), opening).view_as(evaluations_RNC)
        sigma = hiding_noise(measured_scatter(seen_RNC, 3, is_known=False, opening=opening), num_answers)
        assert (num_answers * divergence(covariance, sigma) / 2 <= bound) is (opening == "values")
        known = measured_scatter(seen_RNC, 3, is_known=True, opening=opening).known
        assert (known > float(covariance.trace())) is (opening == "values")


def test_noise_on_values_is_refused_earlier() -> None:
    """A value may be a target whose standard deviation is 1, and what labels have in common is no signal of theirs."""
    scatter = Scatter(known=1e-6, signal=Signal(size=0.01, output=2), opening="values")
    assert NoiseRule(num_answers=1_000).sigma(scatter) == pytest.approx(0.35, rel=0.2)
    with pytest.raises(
        UnshareableModelError, match=r"output 2 of standard deviation 0.01; .*fewer answers.*target_std"
    ):
        NoiseRule(num_answers=10_000).sigma(scatter)


def test_what_noise_is_compared_with() -> None:
    """Differences by all of them together; values by the output that varies least, but not by one that never does."""
    values_NC = torch.tensor([[1.0, -9.0, 5.0], [3.0, -9.0, 5.1]], dtype=torch.float64)
    found = signal_of(values_NC, "values")
    assert (found.size, found.output) == (pytest.approx(0.1 / math.sqrt(2)), 2)
    assert signal_of(values_NC, "differences") == Signal(size=float(values_NC.std()))
    assert signal_of(values_NC[:, 1:2], "values") == Signal(size=0.0)


@pytest.mark.parametrize("opening", OPENINGS)
def test_made_up_samples_are_no_signal(opening: LogitOpening) -> None:
    """A network that says much of made-up samples and little of the owner's is judged by the owner's."""
    own_NC = torch.tensor([[0.0, 0.1], [0.2, 0.0], [0.1, 0.3]], dtype=torch.float64)
    evaluations_RNC = torch.cat([own_NC, 1000 * own_NC[:1] + 500]).expand(4, -1, -1)
    found = measured_scatter(evaluations_RNC, 3, is_known=False, opening=opening)
    assert found.signal.size == pytest.approx(signal_of(own_NC, opening).size)
    assert found.signal.size < 0.2
    assert measured_scatter(evaluations_RNC, 1, is_known=False, opening=opening).signal == Signal()


@pytest.mark.parametrize("scheme", ["lean", "crypten"])
def test_a_target_on_a_small_scale_beside_a_large_one(scheme: str) -> None:
    """The large one hides from a figure over all outputs that the noise drowns the small one."""
    model = module()
    with torch.no_grad():
        model[-1].weight *= torch.tensor([1.0, 30.0, 30.0, 0.1, 0.0])[:, None]  # type: ignore[union-attr, operator]
    found = scheme_class(scheme).answerer_of(
        translate(model, SHAPE),
        inputs(),
        SchemeConfig(name=scheme, precision_bits=14),
        NoiseRule.without_protection(),
        opening="values",
    )
    assert found.scatter.signal.output == 3
    assert found.scatter.signal.size < 0.05
    with pytest.raises(UnshareableModelError, match=r"on output 3 of standard deviation .*data\.target_std"):
        NoiseRule(num_answers=10**12).sigma(found.scatter)


@pytest.mark.parametrize("scheme", ["lean", "crypten"])
def test_values_and_differences_of_a_network_far_from_zero(scheme: str) -> None:
    """What all logits have in common, 30 here, fits the ring and the bound where it is opened, and else need not."""
    model = module()
    with torch.no_grad():
        model[-1].bias.add_(30.0)  # type: ignore[union-attr, operator]
    far = translate(model, SHAPE)
    found: dict[LogitOpening, Answerer] = {}
    for opening in OPENINGS:
        rule = NoiseRule.without_protection()
        found[opening] = scheme_class(scheme).answerer_of(
            far, inputs(), SchemeConfig(name=scheme, precision_bits=14), rule, opening=opening
        )
        assert found[opening].opening == opening
    assert found["values"].terms.logit_bound >= 16 * 30
    if scheme == "lean":
        assert found["differences"].terms.logit_bound < 30
    expected = signal_of(far.values(inputs()[:12].double())[-1], "values").size
    assert found["values"].scatter.signal.size == pytest.approx(expected, rel=0.5)


@pytest.mark.parametrize(("scheme", "key"), [("lean", "unknown"), ("crypten", "known")], ids=["lean", "crypten"])
def test_more_bits_scatter_less(scheme: str, key: str) -> None:
    """Each bit of an activation halves the deviations of the logits: two make a sixteenth of |S|_F or a mean square."""

    def scatter(bits: int) -> float:
        precision_bits, options = (12, {"ring_bits": 16 + bits}) if scheme == "lean" else (bits, {})
        config = SchemeConfig(name=scheme, precision_bits=precision_bits, options=options)
        answerer = scheme_class(scheme).answerer_of(network(), inputs(), config, NoiseRule.without_protection())
        found: float = getattr(answerer.scatter, key)
        return found

    assert scatter(12) / scatter(14) == pytest.approx(16.0, rel=0.6)


def test_scatter_of_crypten_is_unbiased_enough() -> None:
    """The arithmetic in the clear is CrypTen's: the network's logits, but for roundings of 2^-12."""
    found = SharesInTheClear(network(), 12, torch.Generator().manual_seed(3)).logits(inputs())
    with torch.no_grad():
        expected = module()(inputs()).double()
    expected -= expected.mean(1, keepdim=True)
    assert float((found - expected).abs().max()) < 20 * 2.0**-12


@pytest.mark.parametrize("scheme", ["lean", "crypten", "plaintext"])
@pytest.mark.parametrize("extra", [0.0, 40.0])
@pytest.mark.parametrize("opening", OPENINGS)
def test_a_nearly_constant_network_has_room_for_its_noise(scheme: str, extra: float, opening: LogitOpening) -> None:
    """Its logits are small beside the noise. The bound, and with lean the ring of the output, hold both, and what is
    computed is still the network: otherwise nearly every answer would be dropped.
    """
    model = module()
    with torch.no_grad():
        for parameter in model[-1].parameters():
            parameter *= 1e-3
    nearly = translate(model, SHAPE)
    rule, config = NoiseRule(num_answers=1000, extra=extra), SchemeConfig(name=scheme, precision_bits=14)
    found = scheme_class(scheme).answerer_of(nearly, inputs(), config, rule, opening=opening)
    noise = found.terms.logit_noise
    assert noise >= (extra if scheme == "plaintext" else math.hypot(LEAST_NOISE, extra))
    assert found.terms.logit_bound >= NOISE_ROOM * noise
    if isinstance(found, FixedPointAnswerer):
        assert found.scales.bound == found.terms.logit_bound
        assert 2.0 ** (found.program.output.ring - 1 - found.scales.output) >= 16 * found.scales.bound
        evaluator = ClearEvaluator(
            found.program, found.parameters, found.scales, torch.Generator().manual_seed(0), torch.device("cpu")
        )
        expected_NC = opened_logits(nearly.values(inputs().double())[-1], opening)
        assert float((evaluator.logits(inputs(), opening) - expected_NC).abs().max()) < 0.1 * float(
            expected_NC.abs().max()
        )
