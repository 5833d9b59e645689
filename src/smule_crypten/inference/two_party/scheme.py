"""The scheme of the two parties alone: ring-LWE for the linear layers, silent oblivious transfer for the openings.

It computes what scheme=lean computes, without a third party. M knows the weights, D the inputs. Semi-honest security
against either party, under the assumptions of docs/two-party.md; roles.py numbers the steps.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import torch

from smule_crypten.config.schemes import SCHEME_TRAITS, SchemeTraits
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ProtocolError
from smule_crypten.fixed_point.wire import play
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.fixed_point_answers import FixedPointAnswerer, FixedPointScheme
from smule_crypten.inference.scheme import CPU, micro_batches
from smule_crypten.inference.two_party.ideal import TwoPartyArithmetic
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.mpc.session import Session
from smule_crypten.oblivious.parameters import STANDARD, Plan
from smule_crypten.two_party.correlations import Correlations, transfers_of
from smule_crypten.two_party.cost import direction_cost
from smule_crypten.two_party.data_owner import DataOwner
from smule_crypten.two_party.legs import MOST_MATERIAL_BYTES, jobs_of, legs_of
from smule_crypten.two_party.model_owner import ModelOwner
from smule_crypten.two_party.pace import Pace
from smule_crypten.two_party.plan import DirectionPlan, plan_direction
from smule_crypten.two_party.renewals import all_ahead, most_ahead
from smule_crypten.two_party.set_up import set_up_cost
from smule_crypten.types import Cost, DirectionCost, InferenceQuery, LogitOpening


class TwoPartyScheme(FixedPointScheme):
    name: ClassVar[str] = "two_party"
    traits: ClassVar[SchemeTraits] = SCHEME_TRAITS["two_party"]
    transfers: ClassVar[Plan] = STANDARD
    """Parameters of the silent transfers; no configuration changes them."""
    most_material_bytes: ClassVar[int] = MOST_MATERIAL_BYTES
    """Of what a leg of an exchange takes of them."""

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
        self._correlations = Correlations.open(session, plan=self.transfers)
        self._pace = Pace()
        self._plans: tuple[DirectionPlan, DirectionPlan] | None = None

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        """Nobody deals: `dealt` changes nothing. What goes ahead of an exchange: see correlations.py."""
        return direction_cost(plan_direction(architecture, micro_batches(num_samples, config), config))

    @classmethod
    def set_up_cost(cls) -> Cost:
        return set_up_cost(cls.transfers)

    @classmethod
    def most_ahead(
        cls, architectures: tuple[Architecture, Architecture], counts: tuple[int, int], config: SchemeConfig
    ) -> Cost:
        return most_ahead(transfers_of(jobs_of(_plans(architectures, counts, config))), cls.transfers)

    @classmethod
    def all_ahead(
        cls,
        architectures: tuple[Architecture, Architecture],
        exchanges: Sequence[tuple[int, int]],
        config: SchemeConfig,
    ) -> Cost:
        taken = [0, 0]
        for counts, times in Counter(exchanges).items():
            of_one = transfers_of(jobs_of(_plans(architectures, counts, config)))
            taken = [total + times * count for total, count in zip(taken, of_one, strict=True)]
        return all_ahead((taken[0], taken[1]), cls.transfers)

    @classmethod
    def arithmetic_of(cls, network: TranslatedNetwork) -> TwoPartyArithmetic:
        return TwoPartyArithmetic(network.architecture)

    def settle(self) -> None:
        self._correlations.settle()

    def begin(self, index: int, counts: tuple[int, int]) -> None:
        super().begin(index, counts)
        self._plans = plans = _plans(self.architectures, counts, self.config)
        for leg in legs_of(plans, self.most_material_bytes)[:1]:
            self._correlations.need(jobs_of(plans, leg))

    def check(self) -> None:
        super().check()
        self._pace.spend(self._correlations.work)

    def _run(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        rank, streams = self.session.rank, self.session.streams
        plans, self._plans = self._plans, None
        if plans is None or streams.public is None:
            raise ProtocolError("no exchange has begun that is not over; call begin first")
        counts = [sum(plan.batches) for plan in plans]
        if (counts[rank], counts[1 - rank]) != (answered.num_samples, asked.num_samples):
            raise ProtocolError("the queries have other sizes than those that the exchange began with")
        assert isinstance(answerer, FixedPointAnswerer)
        assert asked.inputs is not None
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
            device=self.device,
        )
        data_owner = DataOwner(
            plans[1 - rank],
            public=public[1 - rank],
            inputs_NX=asked.inputs,
            local=streams.local,
            material=self._correlations.data_owner_material,
            opening=self.opening,
        )
        answers, between = [torch.empty(0, *plans[1 - rank].program.output.shape)], 0.0
        for leg in legs_of(plans, self.most_material_bytes):
            if leg.start:
                started = time.perf_counter()
                self._correlations.need(jobs_of(plans, leg))
                self.settle()
                between += time.perf_counter() - started
            answers.append(play(self.session, model_owner.over(leg), data_owner.over(leg)))
        return torch.cat(answers), between + model_owner.preparation_seconds + data_owner.preparation_seconds


def _plans(
    architectures: tuple[Architecture, Architecture], counts: tuple[int, int], config: SchemeConfig
) -> tuple[DirectionPlan, DirectionPlan]:
    """Of the directions of party a's network, which answers party b, and of party b's."""
    first, second = (
        plan_direction(architecture, micro_batches(count, config), config)
        for architecture, count in zip(architectures, reversed(counts), strict=True)
    )
    return first, second
