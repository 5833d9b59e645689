"""What the parties do in the tests of schemes. A module of its own, so that spawned processes can import it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from steps import LEAN, queries
from torch import nn

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.party import DisclosureConfig
from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import SmuleError
from smule_crypten.fixed_point import lowering
from smule_crypten.fixed_point.decoding import decoded
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.lean import data_owner, model_owner
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models import translate as translating
from smule_crypten.models.tracing import trace
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.provider import Dealt
from smule_crypten.mpc.session import Session
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.peer import AnsweringNetwork
from smule_crypten.mutual_learning.secure_peer import SecurePeer
from smule_crypten.types import Cost, LogitOpening, PeerPrediction, centred

Shape = tuple[int, ...]
CALIBRATION_SAMPLES = 16


class Exchanged(NamedTuple):
    """A party's answer, what cost_of and combine predict for it, and the largest error of a logit."""

    prediction: PeerPrediction
    predicted: Cost
    error: float


def exchanged(
    session: Session,
    models: tuple[ModelConfig, ModelConfig],
    shape: Shape,
    counts: tuple[int, int],
    config: SchemeConfig,
) -> Exchanged:
    """Both directions between two networks of the zoo, which each party builds for itself, with seeded images."""
    rank = session.rank
    networks = [build_model(model, shape, 10, seed=0).eval() for model in models]
    first, second = (translate(network, shape).architecture for network in networks)
    scheme = scheme_class(config.name)(session, config, (first, second))
    calibration_NX = torch.randn(CALIBRATION_SAMPLES, *shape, generator=_generator(2))
    answerer = scheme.prepare_answers(networks[rank], calibration_NX, NoiseRule.without_protection())
    scheme.begin(1, counts)
    inputs_NX = torch.randn(counts[rank], *shape, generator=_generator(rank))
    prediction = scheme.exchange(answerer, *queries(rank, counts, inputs_NX))
    dealt = isinstance(session.provider, Dealt)
    own, peer = (scheme.architectures[party] for party in (rank, 1 - rank))
    asking = scheme.cost_of(peer, counts[rank], config, dealt=dealt).data_owner
    answering = scheme.cost_of(own, counts[1 - rank], config, dealt=dealt).model_owner
    error = 0.0
    if counts[rank]:
        with torch.no_grad():
            error = float((prediction.logits_NC - centred(networks[1 - rank](inputs_NX))).abs().max())
    return Exchanged(prediction, scheme.combine(asking, answering), error)


class _Bottleneck(nn.Module):
    """Inverted residual: wide inside, linear at its end."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 3 * channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = inputs_NX + self.layers(inputs_NX)
        return result


def linear_bottlenecks(input_shape: Shape, num_classes: int) -> nn.Module:
    """A small MobileNetV2, with ReLU in place of ReLU6; to be built by `build_model`."""
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 4, 3, stride=2, padding=1),
        _Bottleneck(4),
        _Bottleneck(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, num_classes),
    )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _linear(shift: float = 0.0) -> nn.Module:
    """A network without truncation: its logits on shares are exact. shift: what all of them have in common."""
    layer = nn.Linear(4, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, 20).view(5, 4))
        layer.bias.copy_(torch.linspace(2, 3, 5) + shift)
    return nn.Sequential(nn.Flatten(), layer)


def _ready(
    session: Session,
    config: SchemeConfig,
    calibration_NX: torch.Tensor,
    opening: LogitOpening = "differences",
    shift: float = 0.0,
) -> tuple[SecureInferenceScheme, Answerer]:
    """A scheme between two of these networks, and the own one without noise."""
    architecture = translate(_linear(), (1, 2, 2)).architecture
    scheme = scheme_class(config.name)(session, config, (architecture, architecture), opening=opening)
    return scheme, scheme.prepare_answers(_linear(shift), calibration_NX, NoiseRule.without_protection())


def elements_that_lean_opens_without_an_offset(
    session: Session, inputs_NX: torch.Tensor, opening: LogitOpening, shift: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """A broken protocol: the model owner hides nothing."""

    def as_they_are(share: torch.Tensor, *_: object) -> torch.Tensor:
        return share

    with mock.patch.object(model_owner, "concealed", as_they_are):
        return elements_that_lean_opens(session, inputs_NX, opening, shift)


def elements_that_lean_opens(
    session: Session, inputs_NX: torch.Tensor, opening: LogitOpening, shift: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the data owner adds up before it looks at it, modulo the ring, and the logits of it."""
    opened: list[torch.Tensor] = []

    def noting(elements: torch.Tensor, ring: int, scale: int, opening: LogitOpening) -> torch.Tensor:
        opened.append(elements & ((1 << ring) - 1))
        return decoded(elements, ring, scale, opening)

    scheme, answerer = _ready(session, LEAN, inputs_NX, opening, shift)
    counts = (len(inputs_NX), 0)
    scheme.begin(1, counts)
    with mock.patch.object(data_owner, "decoded", noting):
        prediction = scheme.exchange(answerer, *queries(session.rank, counts, inputs_NX[: counts[session.rank]]))
    return torch.cat([*opened, torch.empty(0, 5, dtype=torch.int64)]), prediction.logits_NC


def refusal_without_a_dealer(session: Session) -> tuple[str, bool]:
    """How it ends where party a deals."""
    return _refusal(session, lambda: _ready(session, LEAN, torch.ones(1, 1, 2, 2)))


def refusal_of_a_second_exchange(session: Session, config: SchemeConfig) -> tuple[str, bool]:
    """How an exchange ends for which no fresh keys were agreed on."""
    scheme, answerer = _ready(session, config, torch.ones(1, 1, 2, 2))
    scheme.begin(1, (1, 1))
    asked, answered = queries(session.rank, (1, 1), torch.ones(1, 1, 2, 2))
    scheme.exchange(answerer, asked, answered)
    return _refusal(session, lambda: scheme.exchange(answerer, asked, answered))


def _refusal(session: Session, act: Any) -> tuple[str, bool]:
    before = session.meter.total()
    try:
        act()
    except SmuleError as error:
        return f"{type(error).__name__}: {error}", session.meter.total() != before
    return "accepted", session.meter.total() != before


def translations_and_lowerings(session: Session, config: SchemeConfig, spot_checks: int) -> tuple[int, int]:
    """How often a party translates and lowers a network in one exchange, second answers with it."""
    architecture = translate(_linear(), (1, 2, 2)).architecture
    scheme = scheme_class(config.name)(session, config, (architecture, architecture))
    samples = Samples(torch.randn(8, 1, 2, 2), torch.zeros(8).long(), torch.arange(8))
    with tempfile.TemporaryDirectory() as folder:
        budget = QueryBudget(DisclosureConfig(), Path(folder) / "disclosures.jsonl", run="first", peer=None)
        peer = SecurePeer(
            scheme, ExchangeConfig(spot_checks=spot_checks), num_queries=(8, 8), budget=budget, calibration=samples
        )
        with (
            budget,
            mock.patch.object(translating, "trace", wraps=trace) as translated,
            mock.patch.object(lowering, "_with_rings", wraps=lowering._with_rings) as lowered,
        ):
            peer.agree(1, 8)
            peer.ask(samples, AnsweringNetwork(_linear(), 0, "some network"))
            peer.answers()
    return translated.call_count, lowered.call_count
