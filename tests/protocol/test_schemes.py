"""Every registered scheme keeps the contract, and the contract suite catches those that do not."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar
from unittest import mock

import pytest
import torch
from scheme_steps import (
    refusal_of_a_second_exchange,
    refusal_without_a_dealer,
    translations_and_lowerings,
)
from steps import CRYPTEN, LEAN, TWO_PARTY

from smule_crypten.config.schemes import SchemeTraits
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.crypten import CryptenScheme
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.inference.plaintext import PlaintextScheme
from smule_crypten.inference.registry import SCHEMES
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.inference.two_party.scheme import TwoPartyScheme
from smule_crypten.lattice.handover import DataOwnerBatch
from smule_crypten.models.architecture import Architecture
from smule_crypten.oblivious.parameters import LpnSet, Plan
from smule_crypten.testing import PartyPool, check_scheme
from smule_crypten.types import Cost, DirectionCost, InferenceQuery


class Leaky(PlaintextScheme):
    """Claims protection but sends inputs in the clear."""

    traits: ClassVar[SchemeTraits] = SchemeTraits(adversary="semi-honest", needs_dealer=False)


class OneByteMore(SecureInferenceScheme):
    """Predicts one byte too many."""

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        added = DirectionCost(data_owner=Cost(bytes_sent=1), model_owner=Cost())
        return super().cost_of(architecture, num_samples, config, dealt=dealt) + added


class Inexact(OneByteMore, CryptenScheme):
    pass


class InexactLean(OneByteMore, LeanScheme):
    pass


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
        self, answerer: Answerer, query: InferenceQuery, architecture: Architecture
    ) -> torch.Tensor | None:
        logits_NC = super()._run_direction(answerer, query, architecture)
        if logits_NC is not None:
            logits_NC[:, 0] += 0.01
        return logits_NC


class UndealtLean(LeanScheme):
    """Forgets the dealer in its prediction."""

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        cost = super().cost_of(architecture, num_samples, config, dealt=dealt)
        return dataclasses.replace(cost, model_owner=dataclasses.replace(cost.model_owner, dealer_bytes=0))


class SequentialLean(LeanScheme):
    """Predicts rounds as if one direction followed the other."""

    @classmethod
    def combine(cls, asking: Cost, answering: Cost) -> Cost:
        return asking + answering


class UnmaskedLean(LeanScheme):
    """Hands its inputs over without a mask; the cost is that of masked ones, and the answers are useless."""

    def _run(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        with mock.patch.object(DataOwner, "_input_mask", lambda role, position: 0 * role._masks.pop(position)):
            return super()._run(answerer, asked, answered)


_FEW = LpnSet(name="insecure_few", trees=64, log_size=10, depth=12, attacks=None)


class OfFewTransfers(TwoPartyScheme):
    """With small parameters of its transfers, which anyone can break: the contract asks for many set-ups."""

    transfers: ClassVar[Plan] = Plan(start=_FEW, main=_FEW)
    most_material_bytes: ClassVar[int] = 1  # legs of one micro-batch each


class InexactTwoParty(OneByteMore, OfFewTransfers):
    pass


class UnmaskedTwoParty(OfFewTransfers):
    """Encodes its inputs without the masks of the lattice; the answers are useless."""

    def _run(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        hand_over = DataOwnerBatch.hand_over

        def unmasked(batch: DataOwnerBatch, number: int, x_D: torch.Tensor) -> torch.Tensor:
            masks = batch._masks[number]
            assert masks is not None
            batch._masks[number] = torch.zeros_like(masks)
            return hand_over(batch, number, x_D)

        with mock.patch.object(DataOwnerBatch, "hand_over", unmasked):
            return super()._run(answerer, asked, answered)


CONFIGS = {name: SchemeConfig(name=name, micro_batch=2) for name in SCHEMES} | {
    "lean": LEAN.model_copy(update={"micro_batch": 2})
}
"""lean as in conf/scheme/lean.yaml. The activations of the contract's networks stay below 4, which with margin_bits=2
makes a unit 2^-13: a negative one of up to 16 units, which passes a ReLU, is off by 2e-3, and the weights after it are
below 1/2. One activation in a thousand is that small. Largest error found in 4,800 samples: 2.1e-4; the common
tolerance of 1e-3 is right for it, too."""


CHECKED = SCHEMES | {"two_party": OfFewTransfers}


@pytest.mark.parametrize("scheme", CHECKED.values(), ids=CHECKED.keys())
def test_registered_schemes_keep_the_contract(pool: PartyPool, scheme: type[SecureInferenceScheme]) -> None:
    """Protects: shapes, batch sizes, who learns what, exact cost and error paths of each scheme."""
    check_scheme(pool, scheme, dealt=scheme.traits.needs_dealer, config=CONFIGS[scheme.name])


@pytest.mark.parametrize(
    ("scheme", "clause"),
    [
        (Leaky, "the model owner received"),
        (Inexact, "bytes_sent measured [0-9]+, cost_of predicts [0-9]+"),
        (Undealt, "dealer_bytes measured [0-9]+, cost_of predicts 0"),
        (Inaccurate, "a logit is off by"),
        (InexactLean, "bytes_sent measured [0-9]+, cost_of predicts [0-9]+"),
        (UndealtLean, "dealer_bytes measured [0-9]+, cost_of predicts 0"),
        (SequentialLean, "rounds measured [0-9]+, cost_of predicts [0-9]+"),
        (UnmaskedLean, "a logit is off by"),
        (InexactTwoParty, "bytes_sent measured [0-9]+, cost_of predicts [0-9]+"),
        (UnmaskedTwoParty, "a logit is off by"),
    ],
)
def test_contract_suite_catches_offenders(pool: PartyPool, scheme: type[SecureInferenceScheme], clause: str) -> None:
    """Protects: the suite itself; a suite that passes everything proves nothing."""
    with pytest.raises(AssertionError, match=clause):
        check_scheme(pool, scheme, dealt=scheme.traits.needs_dealer, config=CONFIGS[scheme.name])


def test_contract_suite_sees_packed_inputs(pool: PartyPool) -> None:
    """Protects: the search for inputs in what the model owner received, where values are packed into a few bits."""
    with pytest.raises(AssertionError, match=r"the model owner received \['inputs'\]"):
        check_scheme(pool, UnmaskedLean, dealt=True, tolerance=math.inf, config=CONFIGS["lean"])
    with pytest.raises(AssertionError, match=r"the model owner received \['inputs'\]"):
        check_scheme(pool, UnmaskedTwoParty, dealt=False, tolerance=math.inf, config=CONFIGS["two_party"])


@pytest.mark.parametrize(("config", "lowerings"), [(CRYPTEN, 0), (LEAN, 1)], ids=["crypten", "lean"])
def test_a_version_of_a_network_is_translated_once(pool: PartyPool, config: SchemeConfig, lowerings: int) -> None:
    """Protects: what is checked beside the network itself is what answers, first and second answers alike."""
    assert pool.run(translations_and_lowerings, config, 3, dealt=True) == [(1, lowerings)] * 2


def test_lean_needs_a_dealer(pool: PartyPool) -> None:
    """Protects: nothing is computed with party a as dealer, and the user reads what to change before a training."""
    for ended in pool.run(refusal_without_a_dealer, dealt=False):
        assert ended == ("ConfigError: scheme=lean needs a dealer; set provider=dealer", False)


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        (CRYPTEN, "no exchange has begun in which this stream is unused"),
        (LEAN, "no exchange has begun in which this stream is unused"),
        (TWO_PARTY, "no exchange has begun that is not over"),
    ],
    ids=lambda config: config.name if isinstance(config, SchemeConfig) else "",
)
def test_an_exchange_runs_once(pool: PartyPool, config: SchemeConfig, refused: str) -> None:
    """Protects: no mask serves twice; without fresh keys nothing is sent."""
    dealt = SCHEMES[config.name].traits.needs_dealer
    for text, has_sent in pool.run(refusal_of_a_second_exchange, config, dealt=dealt):
        assert text.startswith(f"ProtocolError: {refused}")
        assert not has_sent
