"""An exchange in which party b adds something to its share of the logits: what an active adversary would do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.party import DisclosureConfig
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import PeerError, ProtocolError
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.translate import translate
from smule_crypten.mpc.session import Session
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.peer import AnsweringNetwork
from smule_crypten.mutual_learning.secure_peer import SecurePeer
from smule_crypten.types import centred

SAMPLES = 24


def exchange_with(
    session: Session, config: SchemeConfig, shifts: list[torch.Tensor], noise: float, spot_checks: int
) -> tuple[str, torch.Tensor, int]:
    """Each party asks about 24 samples.

    Args:
        shifts: what party b adds to its logits, (24, 3) the first time it answers, and less when it is asked again.
        noise: budget.logit_noise of both parties.

    Returns:
        how it ended, by how much the logits are off, and how many samples were charged.
    """
    network = _network()
    generator = torch.Generator().manual_seed(session.rank)
    images = Samples(
        torch.randn(SAMPLES, 1, 2, 2, generator=generator), torch.zeros(SAMPLES).long(), torch.arange(SAMPLES)
    )
    architecture = translate(network, (1, 2, 2)).architecture
    scheme = scheme_class(config.name)(session, config, (architecture, architecture))
    waiting = list(shifts) if session.rank == 1 else []

    def shift(answerer: Answerer, size: tuple[int, ...]) -> torch.Tensor | None:
        return waiting.pop(0)[: size[0]].double() if waiting else None

    with tempfile.TemporaryDirectory() as folder:
        budget = QueryBudget(
            DisclosureConfig(logit_noise=noise), Path(folder) / "disclosures.jsonl", run="first", peer=None
        )
        peer = SecurePeer(
            scheme,
            ExchangeConfig(spot_checks=spot_checks),
            num_queries=(SAMPLES, SAMPLES),
            budget=budget,
            calibration=images,
        )
        # Both schemes add their noise here, where a party that deviates would add its shift.
        with budget, mock.patch.object(scheme, "output_noise", shift if shifts else scheme.output_noise):
            try:
                peer.agree(1, SAMPLES)
                peer.ask(images, AnsweringNetwork(network, 0, "some network"))
                prediction = peer.answers().prediction
            except (ProtocolError, PeerError) as error:
                return f"{type(error).__name__}: {error}", torch.empty(0), budget.answered
        with torch.no_grad():
            plain = centred(network(images.inputs[prediction.sample_ids]))
        return "completed", prediction.logits_NC - plain, budget.answered


def _network() -> nn.Module:
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, 12).view(3, 4))
        layer.bias.zero_()
    return nn.Sequential(nn.Flatten(), layer)
