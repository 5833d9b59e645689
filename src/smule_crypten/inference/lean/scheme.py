"""The lean scheme: the dealer's randomness, one masked input a layer, one short opening an activation.

It computes what scheme=crypten computes, with asymmetric roles: M knows the weights, D the inputs. Semi-honest security
against either party and against the dealer, who must not collude with one of them; see docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import torch

from smule_crypten.config.schemes import SCHEME_TRAITS, SchemeTraits
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.fixed_point.clear import ClearEvaluator
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.wire import play
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.fixed_point_answers import (
    Arithmetic,
    Fitted,
    FixedPointAnswerer,
    FixedPointScheme,
)
from smule_crypten.inference.lean.cost import direction_cost
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.dealing import corrections
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.inference.noise import Scatter, Trial, measured_scatter
from smule_crypten.inference.scheme import CPU, micro_batches
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.mpc.provider import Dealt
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import DirectionCost, InferenceQuery, LogitOpening


class LeanArithmetic(Arithmetic):
    """Stochastic rounding, of which the data owner sees nothing."""

    def ideal(self, fitted: Fitted, device: torch.device) -> ClearEvaluator:
        # The owner's own measurement: nothing rests on this generator.
        generator = torch.Generator().manual_seed(0)
        return ClearEvaluator(fitted.program, fitted.parameters, fitted.scales, generator, device)

    def scatter(
        self,
        fitted: Fitted,
        trial: Trial,
        evaluations_RNC: torch.Tensor,
        device: torch.device,
        opening: LogitOpening,
    ) -> Scatter:
        return measured_scatter(evaluations_RNC, len(trial.own_N), is_known=False, opening=opening)


class LeanScheme(FixedPointScheme):
    name: ClassVar[str] = "lean"
    traits: ClassVar[SchemeTraits] = SCHEME_TRAITS["lean"]

    def __init__(
        self,
        session: Session,
        config: SchemeConfig,
        architectures: tuple[Architecture, Architecture],
        device: torch.device = CPU,
        *,
        opening: LogitOpening = "differences",
    ) -> None:
        if not isinstance(session.provider, Dealt):
            raise ConfigError("scheme=lean needs a dealer; set provider=dealer")
        # Both, so that what cannot be lowered is named before a training.
        programs = [lower(architecture, config) for architecture in architectures]
        self._peer_program = programs[1 - session.rank]
        super().__init__(session, config, architectures, device, opening=opening)

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        """There is no other way than a dealer: `dealt` changes nothing."""
        return direction_cost(lower(architecture, config), micro_batches(num_samples, config))

    @classmethod
    def deal(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, model_owner: Stream, data_owner: Stream
    ) -> Iterator[torch.Tensor]:
        return corrections(lower(architecture, config), micro_batches(num_samples, config), model_owner, data_owner)

    @classmethod
    def arithmetic_of(cls, network: TranslatedNetwork) -> LeanArithmetic:
        return LeanArithmetic()

    def _run(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        rank, provider = self.session.rank, self.session.provider
        assert isinstance(answerer, FixedPointAnswerer)
        assert asked.inputs is not None
        model_owner = ModelOwner(
            answerer.program,
            self.device,
            micro_batches(answered.num_samples, self.config),
            parameters=answerer.parameters,
            scales=answerer.scales,
            dealt=provider.stream(rank),
            local=self.session.streams.local,
            output_noise=partial(self.output_noise, answerer),
            receive_correction=provider.correction,
            opening=self.opening,
        )
        data_owner = DataOwner(
            self._peer_program,
            self.device,
            micro_batches(asked.num_samples, self.config),
            inputs_NX=asked.inputs,
            dealt=provider.stream(1 - rank),
            opening=self.opening,
        )
        logits_NC = play(self.session, model_owner, data_owner)
        return logits_NC, data_owner.preparation_seconds
