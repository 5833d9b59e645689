"""What both parties do when a scheme is held to its contract (testing.py): small networks, queries, noisy answers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.noise import NoiseRule, hiding_noise
from smule_crypten.inference.plaintext import evaluate_plaintext
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.translate import translate
from smule_crypten.mpc.session import Session
from smule_crypten.types import InferenceQuery, LogitOpening, opened_logits

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


def networks(outputs: int) -> tuple[nn.Module, nn.Module]:
    """Two small networks, different on purpose, the same in both processes; their outputs have something in common."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        small = nn.Sequential(nn.Flatten(), nn.Linear(32, 6), nn.ReLU(), _last(6, outputs))
        convolutional = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            _last(16, outputs),
        )
    return small, convolutional.eval()


def _last(features: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(features, outputs)
    with torch.no_grad():
        layer.bias.add_(0.5)
    return layer


def prepared(
    session: Session,
    make_scheme: MakeScheme,
    config: SchemeConfig,
    opening: LogitOpening = "differences",
    outputs: int = OUTPUTS,
) -> tuple[SecureInferenceScheme, tuple[nn.Module, nn.Module]]:
    models = networks(outputs)
    first, second = (translate(model, (2, 4, 4)).architecture for model in models)
    return make_scheme(session, config, (first, second), opening=opening), models


_SILENT = NoiseRule.without_protection()


def answerer_of_contract(scheme: SecureInferenceScheme, network: nn.Module, noise: NoiseRule = _SILENT) -> Answerer:
    calibration_NX = torch.randn(64, 2, 4, 4, generator=torch.Generator().manual_seed(9))
    return scheme.prepare_answers(network, calibration_NX, noise)


def queries(session: Session, counts: tuple[int, int]) -> tuple[InferenceQuery, InferenceQuery]:
    rank = session.rank
    inputs = torch.randn(counts[rank], 2, 4, 4, generator=torch.Generator().manual_seed(rank))
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
    session: Session, make_scheme: MakeScheme, config: SchemeConfig, opening: LogitOpening, outputs: int
) -> tuple[torch.Tensor, float]:
    """Party a asks, party b answers with noise: the errors (N, C) of the answers, and what b announces."""
    scheme, models = prepared(session, make_scheme, config, opening, outputs)
    counts = (NOISY_SAMPLES, 0)
    asked, answered = queries(session, counts)
    answerer = answerer_of_contract(scheme, models[session.rank], NoiseRule(num_answers=1, extra=_NOISE))
    scheme.begin(1, counts)
    prediction = scheme.exchange(answerer, asked, answered)
    assert asked.inputs is not None
    expected_NC = evaluate_plaintext(translate(models[1 - session.rank], (2, 4, 4)), asked.inputs)
    return prediction.logits_NC - opened_logits(expected_NC, opening), answerer.terms.logit_noise


def noise_for_outputs_alike(session: Session, make_scheme: MakeScheme, config: SchemeConfig, outputs: int) -> float:
    """Standard deviation of the noise that hides the rounding of 1,000 answers, of outputs that are nearly alike."""
    last = nn.Linear(6, outputs)
    sizes_C1 = 1 + 0.1 * (torch.arange(outputs) - (outputs - 1) / 2).unsqueeze(1)
    with torch.no_grad():
        last.weight.copy_(sizes_C1 * torch.linspace(-1, 1, 6))
        last.bias.zero_()
    network = nn.Sequential(*list(networks(outputs)[0].children())[:-1], last)
    architecture = translate(network, (2, 4, 4)).architecture
    scheme = make_scheme(session, config, (architecture, architecture), opening="values")
    return hiding_noise(answerer_of_contract(scheme, network).scatter, 1000)
