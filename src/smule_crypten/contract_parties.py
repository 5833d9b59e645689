"""What both parties do when a scheme is held to its contract (testing.py): small networks, queries, noisy answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.noise import NoiseRule, hiding_noise
from smule_crypten.inference.plaintext import evaluate_plaintext
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.architecture import Architecture, num_elements
from smule_crypten.models.translate import translate
from smule_crypten.mpc.session import Session
from smule_crypten.types import InferenceQuery, InputShape, LogitOpening, opened_logits

OUTPUTS = 3
NOISY_SAMPLES = 1024
"""Answers that noise is judged by."""
_NOISE = 0.25


class MakeScheme(Protocol):
    """Builds a scheme in each party; importable. A scheme class is one."""

    def __call__(
        self,
        session: Session,
        config: SchemeConfig,
        architectures: tuple[Architecture, Architecture],
        *,
        opening: LogitOpening,
    ) -> SecureInferenceScheme: ...


@dataclass(frozen=True)
class Case:
    """Networks for inputs of this shape, with so many outputs, and what is opened of them."""

    shape: InputShape
    opening: LogitOpening = "differences"
    outputs: int = OUTPUTS

    def __str__(self) -> str:
        return f"{self.opening} of {self.outputs} outputs, inputs {self.shape}"


def networks(case: Case) -> tuple[nn.Module, nn.Module]:
    """Two small networks, different on purpose, the same in both processes; their outputs have something in common."""
    flatten = [] if len(case.shape) == 1 else [nn.Flatten()]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        small = nn.Sequential(*flatten, nn.Linear(num_elements(case.shape), 6), nn.ReLU(), _last(6, case.outputs))
        layers = nn.Sequential(*_layers(case.shape), *flatten).eval()
        with torch.no_grad():
            features = layers(torch.zeros(1, *case.shape)).shape[1]
        return small, nn.Sequential(*layers, _last(features, case.outputs)).eval()


def _layers(shape: InputShape) -> list[nn.Module]:
    """By the axes of an input, whose first one has shape[0] places."""
    first = shape[0]
    if len(shape) == 1:
        return [nn.Linear(first, 5), nn.BatchNorm1d(5), nn.ReLU()]
    if len(shape) == 2:
        return [nn.Conv1d(first, 4, 3, padding=1), nn.BatchNorm1d(4), nn.AvgPool1d(2), nn.ReLU(), nn.MaxPool1d(2)]
    return [nn.Conv2d(first, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]


def _last(features: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(features, outputs)
    with torch.no_grad():
        layer.bias.add_(0.5)
    return layer


def prepared(
    session: Session,
    make_scheme: MakeScheme,
    config: SchemeConfig,
    case: Case,
) -> tuple[SecureInferenceScheme, tuple[nn.Module, nn.Module]]:
    models = networks(case)
    first, second = (translate(model, case.shape).architecture for model in models)
    return make_scheme(session, config, (first, second), opening=case.opening), models


_SILENT = NoiseRule.without_protection()


def answerer_of_contract(scheme: SecureInferenceScheme, network: nn.Module, noise: NoiseRule = _SILENT) -> Answerer:
    shape = scheme.architectures[0].input_shape
    calibration_NX = torch.randn(64, *shape, generator=torch.Generator().manual_seed(9))
    return scheme.prepare_answers(network, calibration_NX, noise)


def queries(session: Session, case: Case, counts: tuple[int, int]) -> tuple[InferenceQuery, InferenceQuery]:
    rank = session.rank
    inputs = torch.randn(counts[rank], *case.shape, generator=torch.Generator().manual_seed(rank))
    asked = InferenceQuery(
        query_id=1,
        model_owner=1 - rank,
        data_owner=rank,
        num_samples=counts[rank],
        model_step=0,
        sample_ids=torch.arange(counts[rank]),
        inputs=inputs,
    )
    answered = InferenceQuery(
        query_id=1, model_owner=rank, data_owner=1 - rank, num_samples=counts[1 - rank], model_step=0
    )
    return asked, answered


def noisy_answers(
    session: Session, make_scheme: MakeScheme, config: SchemeConfig, case: Case
) -> tuple[torch.Tensor, float]:
    """Party a asks, party b answers with noise: the errors (N, C) of the answers, and what b announces."""
    scheme, models = prepared(session, make_scheme, config, case)
    counts = (NOISY_SAMPLES, 0)
    asked, answered = queries(session, case, counts)
    answerer = answerer_of_contract(scheme, models[session.rank], NoiseRule(num_answers=1, extra=_NOISE))
    scheme.begin(1, counts)
    prediction = scheme.exchange(answerer, asked, answered)
    assert asked.inputs is not None
    expected_NC = evaluate_plaintext(translate(models[1 - session.rank], case.shape), asked.inputs)
    return prediction.logits_NC - opened_logits(expected_NC, case.opening), answerer.terms.logit_noise


def noise_for_outputs_alike(session: Session, make_scheme: MakeScheme, config: SchemeConfig, outputs: int) -> float:
    """Standard deviation of the noise that hides the rounding of 1,000 answers, of outputs that are nearly alike."""
    case = Case((2, 4, 4), "values", outputs)
    last = nn.Linear(6, outputs)
    sizes_C1 = 1 + 0.1 * (torch.arange(outputs) - (outputs - 1) / 2).unsqueeze(1)
    with torch.no_grad():
        last.weight.copy_(sizes_C1 * torch.linspace(-1, 1, 6))
        last.bias.zero_()
    network = nn.Sequential(*list(networks(case)[0].children())[:-1], last)
    architecture = translate(network, case.shape).architecture
    scheme = make_scheme(session, config, (architecture, architecture), opening="values")
    return hiding_noise(answerer_of_contract(scheme, network).scatter, 1000)
