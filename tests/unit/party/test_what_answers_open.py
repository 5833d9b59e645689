"""What answers open follows from the configuration of a party, everywhere the same."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from party_configs import party
from torch import nn

from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.data.samples import Samples
from smule_crypten.doctor.rehearsal import rehearse
from smule_crypten.errors import UnshareableModelError
from smule_crypten.inference.plaintext import PlaintextScheme
from smule_crypten.models.translate import translate
from smule_crypten.mutual_learning.in_process import in_process_peers
from smule_crypten.mutual_learning.peer import AnsweringNetwork
from smule_crypten.mutual_learning.planner import Prices
from smule_crypten.party.joining import prepared_scheme
from smule_crypten.types import LogitOpening, centred


@pytest.fixture(params=["differences", "values"])
def opening(request: pytest.FixtureRequest) -> Iterator[LogitOpening]:
    """What a party is configured for, as its task says."""
    with mock.patch.object(PartyConfig, "opening", request.param):
        yield request.param


def linear(outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, outputs))


def scheme_of(config: PartyConfig, outputs: int) -> Any:
    architecture = translate(linear(outputs), (1, 2, 2)).architecture
    session: Any = SimpleNamespace(provider=mock.Mock(), randomness="fresh", seed=0)
    return prepared_scheme(config, session, (architecture, architecture))


def test_the_handshake_compares_what_the_scheme_opens(opening: LogitOpening) -> None:
    """Both parties state it, and it is what the scheme of a party then does."""
    config = party(allow_insecure=True, scheme=SchemeConfig(name="plaintext"))
    assert ProtocolConfig.from_party(config, (1, 2, 2), 3, None, {}).opening == opening
    assert scheme_of(config, 3).opening == opening


def test_a_network_of_one_output_has_values_only(opening: LogitOpening) -> None:
    """Refused before anything is agreed on, with what to change."""
    config = party(allow_insecure=True, scheme=SchemeConfig(name="plaintext"))
    if opening == "values":
        assert scheme_of(config, 1).opening == "values"
        return
    with pytest.raises(UnshareableModelError, match=r"it is one number.* or choose task=multilabel or task=regression"):
        scheme_of(config, 1)


def test_peers_in_one_process_open_the_same(opening: LogitOpening) -> None:
    """As a scheme would, without its noise."""
    model = linear(3).eval()
    architecture = translate(model, (1, 2, 2)).architecture
    prices = Prices(
        scheme=PlaintextScheme,
        config=SchemeConfig(name="plaintext"),
        architectures=(architecture, architecture),
        dealt=False,
    )
    question = Samples.unlabelled(torch.randn(5, 1, 2, 2))
    peers = in_process_peers(prices, opening=opening)
    for peer in peers:
        peer.ask(question, AnsweringNetwork(model, 0, "trained"))
    expected_NC = model(question.inputs).detach()
    found_NC = peers[0].answers().prediction.logits_NC
    assert torch.allclose(found_NC, centred(expected_NC) if opening == "differences" else expected_NC, atol=1e-5)


def test_a_rehearsal_opens_the_same(opening: LogitOpening) -> None:
    """By processes, as a run: of values also where there is a single one."""
    config = party(model=ModelConfig(name="mlp", options={"hidden": [8]}))
    outputs = 1 if opening == "values" else 3
    found = rehearse(config, torch.randn(8, 1, 2, 2, generator=torch.Generator().manual_seed(0)), outputs)
    assert found.max_abs_logit_error < 5e-3
