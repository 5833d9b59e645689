"""The lean scheme: the dealer's randomness, one masked input a layer, one short opening an activation.

It computes what scheme=crypten computes, with asymmetric roles: M knows the weights, D the inputs. Semi-honest security
against either party and against the dealer, who must not collude with one of them; see docs/protocol.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch

from smule_crypten.config.schemes import SCHEME_TRAITS, SchemeTraits
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.fixed_point.clear import ClearEvaluator
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.options import lean_options
from smule_crypten.fixed_point.program import Program
from smule_crypten.fixed_point.rounding import compensated, remedies
from smule_crypten.fixed_point.scales import Scales, fit, plain_values
from smule_crypten.fixed_point.wire import play
from smule_crypten.inference.answerer import NOISE_ROOM, Answerer, AnswerTerms
from smule_crypten.inference.lean.cost import direction_cost
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.dealing import corrections
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.inference.noise import NoiseRule, Scatter, Trial, measured_scatter
from smule_crypten.inference.precision import Precision, check_precision, precision_of
from smule_crypten.inference.scheme import CPU, SecureInferenceScheme, check_opening, micro_batches
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.equalise import equalised
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.mpc.provider import Dealt
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import Cost, DirectionCost, InferenceQuery, LogitOpening

_WIDER_RINGS = (36, 40, 48, 56, 64)
"""What is tried for a network that loses too much in the configured one."""


@dataclass(frozen=True, kw_only=True)
class LeanAnswerer(Answerer):
    """A network as integers.

    Attributes:
        program: the steps of the network.
        scales: of every value.
        parameters: with weights that are whole multiples of their units.
    """

    program: Program
    scales: Scales


class LeanScheme(SecureInferenceScheme):
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
    def combine(cls, asking: Cost, answering: Cost) -> Cost:
        """Both directions run at the same time."""
        return dataclasses.replace(asking + answering, rounds=max(asking.rounds, answering.rounds))

    @classmethod
    def deal(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, model_owner: Stream, data_owner: Stream
    ) -> Iterator[torch.Tensor]:
        return corrections(lower(architecture, config), micro_batches(num_samples, config), model_owner, data_owner)

    @classmethod
    def check_options(cls, config: SchemeConfig) -> dict[str, Any]:
        return lean_options(config).model_dump()

    @classmethod
    def input_limit(cls, config: SchemeConfig) -> float:
        return 2.0 ** (lean_options(config).ring_bits - config.precision_bits - lean_options(config).input_bits - 1)

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
        check_opening(network.architecture, opening)
        alike = equalised(network, inputs_NX)
        fitted, scatter = _measured(alike, inputs_NX, config, device, opening)
        # Logits that are small beside their noise, as of a network that says nearly the same of all samples: the ring
        # of the output must hold the noise, which is known only now. Noise that grows without end is refused by sigma.
        while fitted.scales.bound < NOISE_ROOM * (sigma := noise.sigma(scatter)):
            fitted, scatter = _measured(alike, inputs_NX, config, device, opening, least_logit=2 * sigma)
        terms = AnswerTerms.of(
            inputs_NX,
            margin=2.0 ** lean_options(config).margin_bits,
            logit_bound=fitted.scales.bound,
            logit_noise=sigma,
        )
        return LeanAnswerer(
            network=network,
            parameters=fitted.parameters,
            config=config,
            scatter=scatter,
            terms=terms,
            program=fitted.program,
            scales=fitted.scales,
        )

    def _run(self, answerer: Answerer, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        rank, provider = self.session.rank, self.session.provider
        assert isinstance(answerer, LeanAnswerer)
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


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """A network in the integers of the scheme. plain_NC: its logits in float64 on the inputs."""

    program: Program
    scales: Scales
    parameters: Parameters
    evaluator: ClearEvaluator
    plain_NC: torch.Tensor

    @classmethod
    def of(
        cls,
        network: TranslatedNetwork,
        inputs_NX: torch.Tensor,
        config: SchemeConfig,
        device: torch.device,
        opening: LogitOpening,
        least_logit: float,
    ) -> _Fitted:
        program, plain = lower(network.architecture, config), network.parameters
        values = plain_values(program, plain, inputs_NX)
        scales = fit(program, plain, values, lean_options(config).margin_bits, opening, least_logit)
        parameters = compensated(program, plain, scales, remedies(program, values))
        # The owner's own measurement: nothing rests on this generator.
        generator = torch.Generator().manual_seed(0)
        evaluator = ClearEvaluator(program, parameters, scales, generator, device)
        return cls(program=program, scales=scales, parameters=parameters, evaluator=evaluator, plain_NC=values[-1])


def _measured(
    network: TranslatedNetwork,
    inputs_NX: torch.Tensor,
    config: SchemeConfig,
    device: torch.device,
    opening: LogitOpening,
    least_logit: float = 0.0,
) -> tuple[_Fitted, Scatter]:
    """The network in integers that are good enough, and how its logits scatter.

    Raises:
        UnshareableModelError: as fit and check_precision.
    """
    fitted = _Fitted.of(network, inputs_NX, config, device, opening, least_logit)
    trial = Trial.of(inputs_NX, fitted.program.num_multiplications)
    evaluations_RNC = trial.evaluations(partial(fitted.evaluator.logits, opening=opening))
    found = precision_of(trial.own(evaluations_RNC[0]), fitted.plain_NC[trial.own_N], opening)
    check_precision(found, _wider(network, inputs_NX, trial, config, opening, least_logit))
    return fitted, measured_scatter(evaluations_RNC, len(trial.own_N), is_known=False, opening=opening)


def _wider(
    network: TranslatedNetwork,
    inputs_NX: torch.Tensor,
    trial: Trial,
    config: SchemeConfig,
    opening: LogitOpening,
    least_logit: float,
) -> Iterator[tuple[str, Callable[[], Precision]]]:
    """Rings of more bits, and what comes out in each."""
    for ring_bits in _WIDER_RINGS:
        if ring_bits <= lean_options(config).ring_bits:
            continue
        wider = config.model_copy(update={"options": {**config.options, "ring_bits": ring_bits}})

        def evaluate(wider: SchemeConfig = wider) -> Precision:
            fitted = _Fitted.of(network, inputs_NX, wider, CPU, opening, least_logit)
            evaluated_NC = fitted.evaluator.logits(trial.own(trial.inputs), opening)
            return precision_of(evaluated_NC, fitted.plain_NC[trial.own_N], opening)

        yield f"scheme.options.ring_bits={ring_bits}", evaluate
