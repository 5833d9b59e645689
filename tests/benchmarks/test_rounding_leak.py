"""The benchmark of the rounding attack: what must be found is, what must not be is not, and both sources agree."""

from __future__ import annotations

import functools
import re
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.fixed_point.scales import integer_parameters
from smule_crypten.inference.lean import data_owner
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.models.translate import translate
from smule_crypten.mpc.packing import signed

SHAPE = (1, 4, 4)


@pytest.fixture
def sources(rounding_leak: ModuleType) -> Any:
    import rounding_sources  # type: ignore[import-not-found]

    return rounding_sources


def subject(rounding_leak: ModuleType, *, hidden: int = 24, classes: int = 8, seed: int = 1) -> Any:
    """A small network with random weights."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, hidden), nn.ReLU(), nn.Linear(hidden, classes))
    images = torch.randn(32, *SHAPE)
    return rounding_leak.Subject(model.eval(), 0.0, images, images, lambda digits: digits, seed)


def case(rounding_leak: ModuleType, **options: Any) -> Any:
    return rounding_leak.Case(**{"scheme": "lean", "network": "mlp", "queries": 1500, "kind": "repeated"} | options)


CASES = [
    {"scheme": "lean", "kind": "repeated"},
    {"scheme": "lean", "kind": "distinct"},
    {"scheme": "lean", "kind": "repeated", "source": "protocol"},
    {"scheme": "crypten", "kind": "repeated"},
    {"scheme": "crypten", "kind": "distinct"},
    {"scheme": "lean", "kind": "repeated", "opening": "values"},
    {"scheme": "lean", "kind": "repeated", "source": "protocol", "opening": "values"},
    {"scheme": "crypten", "kind": "repeated", "opening": "values"},
    {"scheme": "two_party", "kind": "repeated"},
    {"scheme": "two_party", "kind": "distinct"},
    {"scheme": "two_party", "kind": "repeated", "opening": "values"},
]


@pytest.mark.parametrize("options", CASES, ids=lambda options: " ".join(options.values()))
def test_the_control_is_found_and_the_protocol_shows_nothing(
    rounding_leak: ModuleType, options: dict[str, str]
) -> None:
    """Protects the benchmark from passing because it is blind, and the schemes from what it sees."""
    given = subject(rounding_leak)
    control, scheme = (
        rounding_leak.measure(case(rounding_leak, rounding=rounding, **options), given)
        for rounding in ("local", "protocol")
    )
    assert control["correlation"] > 0.8
    assert control["sigma"] == 0
    assert scheme["sigma"] >= 0.01
    assert abs(scheme["correlation"]) <= scheme["limit"]


def test_lean_without_its_noise_does_not_show_what_local_rounding_shows(rounding_leak: ModuleType) -> None:
    """Stochastic rounding alone leaves nothing that goes with what D knows."""
    row = rounding_leak.measure(case(rounding_leak, noise="none"), subject(rounding_leak))
    assert row["sigma"] == 0
    assert abs(row["correlation"]) <= row["limit"]


def test_two_guard_bits_alone_are_found(rounding_leak: ModuleType) -> None:
    """Control of two_party: with t = 2 and no noise, D's own roundings and those of b give the weights."""
    row = rounding_leak.measure(
        case(rounding_leak, scheme="two_party", guard_bits=2, noise="none"), subject(rounding_leak)
    )
    assert row["guessed from"] == "both"
    assert row["correlation"] > 0.8
    assert {"dropped", "error of b", "own share"} <= set(row["each kind of knowledge"])


@pytest.mark.parametrize("opening", ["differences", "values"])
def test_a_rounding_that_the_data_owner_draws_alone_is_found(
    rounding_leak: ModuleType, sources: Any, opening: str
) -> None:
    """Control of the other kinds of knowledge: without M's part of rho, D's own part gives the weights."""
    with mock.patch.object(sources.LeanInTheClear, "_their_rho", lambda self, fraction, like: torch.zeros_like(like)):
        row = rounding_leak.measure(case(rounding_leak, noise="none", opening=opening), subject(rounding_leak))
    assert row["guessed from"] == "own part of rho"
    assert row["correlation"] > 0.8


@pytest.mark.parametrize("rounding", ["protocol", "local"])
def test_what_is_computed_in_the_clear_is_what_the_roles_give(
    rounding_leak: ModuleType, sources: Any, rounding: str
) -> None:
    """Same moments of logits and of knowledge, and the same covariances between them, within chance."""
    count = 3000
    given = subject(rounding_leak, hidden=6, classes=3)
    asked = sources.Asked.of("lean", given.model, given.calibration_NX)
    batches = given.queries("repeated", count).batches
    seen = [_joint(sources.answers(asked, batches, rounding, source, seed=5)) for source in ("simulated", "protocol")]
    assert seen[0].shape == seen[1].shape
    means, deviations = [values.mean(0) for values in seen], [values.std(0) for values in seen]
    error = deviations[0].clamp(min=1e-9) * (2 / count) ** 0.5
    assert bool(((means[0] - means[1]).abs() < 5 * error).all())
    assert torch.allclose(*deviations, rtol=0.1)
    first, second = (torch.corrcoef(values.T) for values in seen)
    assert float((first - second).abs().max()) < 5.5 * (2 / count) ** 0.5


def _joint(got: Any) -> torch.Tensor:
    """Everything that D has of an answer, in a row."""
    known = [got.knowledge[kind][0].double() for kind in sorted(got.knowledge)]
    return torch.cat([got.logits_QC, *known], dim=1)


def test_distinct_queries_are_distinct_and_differ_as_told(rounding_leak: ModuleType) -> None:
    """In whole units of the encoding, so that D knows exactly what it asked."""
    queries = subject(rounding_leak).queries("distinct", 600)
    asked = torch.cat(queries.batches).flatten(1).double()
    assert len(asked.unique(dim=0)) == 600
    assert torch.equal(asked * 1024, (asked * 1024).round())
    moved = (asked - asked[0]).abs().sum(0) > 0
    assert int(moved.sum()) == queries.changes_QK.size(1)


def test_last_line(rounding_leak: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts read it; it is the mean over the rows above."""
    made = [subject(rounding_leak, seed=seed) for seed in (0, 1)]
    with mock.patch.object(rounding_leak, "load_subject", side_effect=made):
        rounding_leak.main(["--scheme", "crypten", "--network", "mlp", "--queries", "200", "--seeds", "2"])
    *_, first, second, last = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"correlation -?\d\.\d{4}", last)
    rows = [float(line.split("|")[7]) for line in (first, second)]
    assert float(last.split()[1]) == pytest.approx(sum(rows) / 2, abs=1e-3)


def test_crypten_has_no_roles_to_play(rounding_leak: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused, not quietly simulated."""
    options = ["--scheme", "crypten", "--network", "mlp", "--queries", "2", "--source", "protocol"]
    with pytest.raises(SystemExit):
        rounding_leak.main(options)
    assert "lean only" in capsys.readouterr().err


class OneUnit:
    """One hidden unit, two outputs, one sample asked again and again: D's low bits, and its opened difference of logits
    in whole units."""

    ANSWERS = 200

    def __init__(self, sources: Any, version: str) -> None:
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.ReLU(), nn.Linear(1, 2))
        generator = torch.Generator().manual_seed(3)
        sample = torch.rand(1, *SHAPE, generator=generator)
        with torch.no_grad():
            model[1].weight.copy_(0.1 + torch.rand(1, 16, generator=generator))
            model[3].weight.copy_(torch.tensor([[0.3], [-0.9]]))
        config = SchemeConfig(name="lean", precision_bits=14)
        network = translate(model, SHAPE)
        noise = NoiseRule(num_answers=self.ANSWERS) if version == "second" else NoiseRule.without_protection()
        examined = LeanScheme.answerer_of(network, sample, config, noise)
        program = examined.program
        weights, _ = integer_parameters(program, examined.parameters, examined.scales)
        self.secret = int(weights[program.products[-1].name][1] - weights[program.products[-1].name][0])
        roles: tuple[Any, Any] = (sources.FirstModelOwner, sources.SeeingFirstDataOwner)
        if version == "second":
            sigma = examined.terms.logit_noise
            noisy = functools.partial(ModelOwner, output_noise=lambda size: sigma * torch.randn(size).double())
            roles = (noisy, sources.SeeingDataOwner)
        else:
            program = sources.first_version(program)
        notebook = sources.Notebook(1)

        def seeing(*arguments: Any, **options: Any) -> Any:
            role = roles[1](*arguments, **options)
            role.notebook = notebook
            return role

        with mock.patch.object(data_owner, "decoded", wraps=data_owner.decoded) as decoded:
            inputs = sample.expand(self.ANSWERS, *SHAPE)
            sources.play_roles(program, examined.parameters, examined.scales, inputs, self.ANSWERS, (roles[0], seeing))
        elements_NC, ring, *_ = decoded.call_args.args
        # To the first logit, in whole units.
        self.opened = signed(elements_NC[:, 1] - elements_NC[:, 0], ring)
        self.low_bits = -notebook.knowledge()["own share"][0].flatten()


def test_the_first_version_gave_away_a_secret_integer(sources: Any) -> None:
    """The opened values are two, exactly w1 - w0 apart, and D's own low bits say beforehand which one it gets."""
    seen = OneUnit(sources, "first")
    values = seen.opened.unique()
    assert len(values) == 2
    assert int(values[1] - values[0]) == abs(seen.secret)
    larger = seen.opened == values[1]
    ranges = sorted((float(part.min()), float(part.max())) for part in (seen.low_bits[larger], seen.low_bits[~larger]))
    assert ranges[0][1] < ranges[1][0]


def test_the_second_version_does_not(sources: Any) -> None:
    """Hardly two answers are alike, they scatter far beyond w1 - w0, and D's low bits say nothing of them."""
    torch.manual_seed(4)
    seen = OneUnit(sources, "second")
    opened = seen.opened.double()
    assert len(seen.opened.unique()) > 0.9 * OneUnit.ANSWERS
    assert float(opened.std()) > 5 * abs(seen.secret)
    small = seen.low_bits < seen.low_bits.median()
    gap = float(opened[small].mean() - opened[~small].mean())
    assert abs(gap) < 4 * float(opened.std()) * 2 / OneUnit.ANSWERS**0.5
