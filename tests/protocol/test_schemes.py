"""Every registered scheme keeps the contract, and the contract suite catches those that do not."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from smule_crypten.config import SchemeConfig
from smule_crypten.inference.crypten import CryptenScheme
from smule_crypten.inference.plaintext import PlaintextScheme
from smule_crypten.inference.registry import SCHEMES
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.testing import PartyPool, check_scheme
from smule_crypten.types import Adversary, Cost, DirectionCost, InferenceQuery


class Leaky(PlaintextScheme):
    """Claims protection but sends inputs in the clear."""

    adversary: ClassVar[Adversary] = "semi-honest"


class Inexact(CryptenScheme):
    """Predicts one byte too many."""

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        added = DirectionCost(data_owner=Cost(bytes_sent=1), model_owner=Cost())
        return super().cost_of(architecture, num_samples, config, dealt=dealt) + added


class Undealt(CryptenScheme):
    """Forgets the dealer in its prediction."""

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        return super().cost_of(architecture, num_samples, config, dealt=False)


class Inaccurate(PlaintextScheme):
    """Answers with logits that are a little off."""

    def _run_direction(
        self, network: TranslatedNetwork, query: InferenceQuery, architecture: Architecture
    ) -> torch.Tensor | None:
        logits_NC = super()._run_direction(network, query, architecture)
        if logits_NC is not None:
            logits_NC[:, 0] += 0.01
        return logits_NC


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES.keys())
def test_registered_schemes_keep_the_contract(pool: PartyPool, scheme: type[SecureInferenceScheme]) -> None:
    """Protects: shapes, batch sizes, who learns what, exact cost and error paths of each scheme."""
    check_scheme(pool, scheme, dealt=scheme.needs_dealer)


@pytest.mark.parametrize(
    ("scheme", "clause"),
    [
        (Leaky, "the model owner received"),
        (Inexact, "bytes_sent measured [0-9]+, cost_of predicts [0-9]+"),
        (Undealt, "dealer_bytes measured [0-9]+, cost_of predicts 0"),
        (Inaccurate, "a logit is off by"),
    ],
)
def test_contract_suite_catches_offenders(pool: PartyPool, scheme: type[SecureInferenceScheme], clause: str) -> None:
    """Protects: the suite itself; a suite that passes everything proves nothing."""
    with pytest.raises(AssertionError, match=clause):
        check_scheme(pool, scheme, dealt=scheme.needs_dealer)
