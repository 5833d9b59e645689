"""The scheme of the two parties alone: ring-LWE for the linear layers, silent oblivious transfer for the openings.

It computes what scheme=lean computes, without a third party. M knows the weights, D the inputs. Semi-honest security
against either party, under the assumptions of docs/two-party.md; roles.py numbers the steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch

from smule_crypten.config.schemes import SCHEME_TRAITS, SchemeTraits
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ProtocolError
from smule_crypten.fixed_point.wire import play
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.lean.scheme import LeanAnswerer, LeanScheme
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.scheme import CPU, SecureInferenceScheme, micro_batches
from smule_crypten.inference.two_party.correlations import Correlations, Job
from smule_crypten.inference.two_party.cost import direction_cost
from smule_crypten.inference.two_party.data_owner import DataOwner
from smule_crypten.inference.two_party.model_owner import ModelOwner
from smule_crypten.inference.two_party.plan import DirectionPlan, plan_direction
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.mpc.session import Session
from smule_crypten.types import Cost, DirectionCost, InferenceQuery, LogitOpening


class TwoPartyScheme(SecureInferenceScheme):
    name: ClassVar[str] = "two_party"
    traits: ClassVar[SchemeTraits] = SCHEME_TRAITS["two_party"]

    def __init__(
        self,
        session: Session,
        config: SchemeConfig,
        architectures: tuple[Architecture, Architecture],
        device: torch.device = CPU,
        *,
        opening: LogitOpening = "differences",
    ) -> None:
        # Both, so that what does not fit is named before a training.
        for architecture in architectures:
            plan_direction(architecture, [config.micro_batch], config)
        super().__init__(session, config, architectures, device, opening=opening)
        self._correlations = Correlations.open(session)
        self._plans: tuple[DirectionPlan, DirectionPlan] | None = None

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        """Nobody deals: `dealt` changes nothing. What goes ahead of an exchange: see correlations.py."""
        return direction_cost(plan_direction(architecture, micro_batches(num_samples, config), config))

    @classmethod
    def combine(cls, asking: Cost, answering: Cost) -> Cost:
        """Both directions run at the same time."""
        return dataclasses.replace(asking + answering, rounds=max(asking.rounds, answering.rounds))

    @classmethod
    def check_options(cls, config: SchemeConfig) -> dict[str, Any]:
        return LeanScheme.check_options(config)

    @classmethod
    def input_limit(cls, config: SchemeConfig) -> float:
        return LeanScheme.input_limit(config)

    @classmethod
    def answerer_of(
        cls,
        network: TranslatedNetwork,
        inputs_NX: torch.Tensor,
        config: SchemeConfig,
        noise: NoiseRule,
        device: torch.device = CPU,
        *,
        opening: LogitOpening = "differences",
    ) -> LeanAnswerer:
        return LeanScheme.answerer_of(network, inputs_NX, config, noise, device, opening=opening)

    def announce(self, message: object) -> object:
        """Not before what was sent ahead has been read: messages keep their order."""
        self._correlations.settle()
        return super().announce(message)

    def begin(self, index: int, counts: tuple[int, int]) -> None:
        self._correlations.settle()
        super().begin(index, counts)
        batches = [micro_batches(count, self.config) for count in reversed(counts)]
        plans = [
            plan_direction(architecture, sizes, self.config)
            for architecture, sizes in zip(self.architectures, batches, strict=True)
        ]
        self._plans = plans[0], plans[1]
        self._correlations.need(_jobs(self._plans))

    def _run(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        rank, streams = self.session.rank, self.session.streams
        plans, self._plans = self._plans, None
        if plans is None or streams.public is None:
            raise ProtocolError("no exchange has begun that is not over; call begin first")
        counts = [sum(plan.batches) for plan in plans]
        if (counts[rank], counts[1 - rank]) != (answered.num_samples, asked.num_samples):
            raise ProtocolError("the queries have other sizes than those that the exchange began with")
        assert isinstance(answerer, LeanAnswerer)
        assert asked.inputs is not None
        self._correlations.settle()
        public = [PublicPolynomials(plan.lattice, key) for plan, key in zip(plans, streams.public, strict=True)]
        model_owner = ModelOwner(
            plans[rank],
            public=public[rank],
            parameters=answerer.parameters,
            scales=answerer.scales,
            local=streams.local,
            material=self._correlations.model_owner_material,
            output_noise=partial(self.output_noise, answerer),
            opening=self.opening,
        )
        data_owner = DataOwner(
            plans[1 - rank],
            public=public[1 - rank],
            inputs_NX=asked.inputs,
            local=streams.local,
            material=self._correlations.data_owner_material,
            opening=self.opening,
        )
        logits_NC = play(self.session, model_owner, data_owner)
        return logits_NC, model_owner.preparation_seconds + data_owner.preparation_seconds


def _jobs(plans: Sequence[DirectionPlan]) -> list[Job]:
    """What an exchange takes, in the order in which both parties take it: by micro-batch, direction and opening."""
    jobs = []
    for number in range(max(len(plan.batches) for plan in plans)):
        for model_owner, plan in enumerate(plans):
            for batch in plan.batches[number : number + 1]:
                jobs += [Job(model_owner, one.widths, batch * one.opening.elements) for one in plan.activations]
    return jobs
