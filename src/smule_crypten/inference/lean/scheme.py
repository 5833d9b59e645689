"""The lean scheme: the dealer's randomness, one masked input a layer, one short opening an activation.

It computes what scheme=crypten computes, with asymmetric roles: M knows the weights, D the inputs. Semi-honest security
against either party and against the dealer, who must not collude with one of them; see docs/protocol.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from smule_crypten.config import SchemeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.inference.lean.clear import ClearEvaluator
from smule_crypten.inference.lean.cost import direction_cost
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.dealing import corrections
from smule_crypten.inference.lean.lowering import lower
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.inference.lean.options import lean_options
from smule_crypten.inference.lean.program import Program
from smule_crypten.inference.lean.rounding import compensated, remedies
from smule_crypten.inference.lean.scales import Scales, fit
from smule_crypten.inference.lean.wire import play
from smule_crypten.inference.noise import Trial, measured_scatter
from smule_crypten.inference.precision import Precision, check_precision, precision_of
from smule_crypten.inference.scheme import CPU, Examined, SecureInferenceScheme, micro_batches
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.equalise import equalised
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.mpc.provider import Dealt
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import Adversary, Cost, DirectionCost, InferenceQuery

_WIDER_RINGS = (36, 40, 48, 56, 64)
"""What is tried for a network that loses too much in the configured one."""


@dataclass(frozen=True, kw_only=True)
class ExaminedLean(Examined):
    """scales: of every value. parameters: with weights that are whole multiples of their units."""

    scales: Scales


class LeanScheme(SecureInferenceScheme):
    name: ClassVar[str] = "lean"
    adversary: ClassVar[Adversary] = "semi-honest"
    needs_dealer: ClassVar[bool] = True

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        """There is no other way than a dealer: `dealt` changes nothing."""
        return direction_cost(lower(architecture, config), _batches(num_samples, config))

    @classmethod
    def combine(cls, asking: Cost, answering: Cost) -> Cost:
        """Both directions run at the same time."""
        return dataclasses.replace(asking + answering, rounds=max(asking.rounds, answering.rounds))

    @classmethod
    def deal(
        cls,
        architecture: Architecture,
        num_samples: int,
        config: SchemeConfig,
        model_owner: Stream,
        data_owner: Stream,
    ) -> Iterator[torch.Tensor]:
        return corrections(lower(architecture, config), _batches(num_samples, config), model_owner, data_owner)

    @classmethod
    def check_options(cls, config: SchemeConfig) -> dict[str, Any]:
        return lean_options(config).model_dump()

    @classmethod
    def input_limit(cls, config: SchemeConfig) -> float:
        return 2.0 ** (lean_options(config).ring_bits - config.precision_bits - lean_options(config).input_bits - 1)

    @classmethod
    def input_margin(cls, config: SchemeConfig) -> float:
        return 2.0 ** lean_options(config).margin_bits

    @classmethod
    def examine(
        cls, network: TranslatedNetwork, inputs_NCHW: torch.Tensor, config: SchemeConfig, device: torch.device = CPU
    ) -> ExaminedLean:
        alike = equalised(network, inputs_NCHW)
        fitted = _Fitted.of(alike, inputs_NCHW, config, device)
        trial = Trial.of(inputs_NCHW, fitted.program.num_multiplications)
        evaluations_RNC = trial.evaluations(fitted.evaluator.logits)
        own = precision_of(evaluations_RNC[0, : len(trial.own_NCHW)], network, trial.own_NCHW)
        check_precision(own, _wider(alike, inputs_NCHW, trial.own_NCHW, config))
        return ExaminedLean(
            logit_bound=fitted.scales.bound,
            scatter=measured_scatter(evaluations_RNC, is_known=False),
            plain=network.parameters,
            parameters=fitted.parameters,
            scales=fitted.scales,
        )

    def prepare(self, architectures: tuple[Architecture, Architecture]) -> None:
        if not isinstance(self.session.provider, Dealt):
            raise ConfigError("scheme=lean needs a dealer; set provider=dealer")
        for architecture in architectures:
            lower(architecture, self.config)
        super().prepare(architectures)

    def _run(self, examined: Examined, asked: InferenceQuery, answered: InferenceQuery) -> tuple[torch.Tensor, float]:
        session, device = self.session, self.device
        rank, provider = session.rank, session.provider
        programs = [lower(architecture, self.config) for architecture in self.architectures]
        assert isinstance(examined, ExaminedLean)
        assert asked.inputs_NCHW is not None
        model_owner = ModelOwner(
            programs[rank],
            device,
            _batches(answered.num_samples, self.config),
            parameters=examined.parameters,
            scales=examined.scales,
            dealt=provider.stream(rank),
            local=session.streams.local,
            output_noise=self.output_noise,
            receive_correction=provider.correction,
        )
        data_owner = DataOwner(
            programs[1 - rank],
            device,
            _batches(asked.num_samples, self.config),
            inputs_NCHW=asked.inputs_NCHW,
            dealt=provider.stream(1 - rank),
        )
        logits_NC = play(session, model_owner, data_owner)
        return logits_NC, data_owner.preparation_seconds


@dataclass(frozen=True, kw_only=True)
class _Fitted:
    """A network in the integers of the scheme."""

    program: Program
    scales: Scales
    parameters: Parameters
    evaluator: ClearEvaluator

    @classmethod
    def of(
        cls, network: TranslatedNetwork, inputs_NCHW: torch.Tensor, config: SchemeConfig, device: torch.device
    ) -> _Fitted:
        program, plain = lower(network.architecture, config), network.parameters
        scales = fit(program, plain, inputs_NCHW, lean_options(config).margin_bits)
        parameters = compensated(program, plain, scales, remedies(program, plain, inputs_NCHW))
        # The owner's own measurement: nothing rests on this generator.
        generator = torch.Generator().manual_seed(0)
        evaluator = ClearEvaluator(program, parameters, scales, generator, device)
        return cls(program=program, scales=scales, parameters=parameters, evaluator=evaluator)


def _wider(
    network: TranslatedNetwork, inputs_NCHW: torch.Tensor, chosen_NCHW: torch.Tensor, config: SchemeConfig
) -> Iterator[tuple[str, Callable[[], Precision]]]:
    """Rings of more bits, and what comes out in each."""
    for ring_bits in _WIDER_RINGS:
        if ring_bits <= lean_options(config).ring_bits:
            continue
        wider = config.model_copy(update={"options": {**config.options, "ring_bits": ring_bits}})

        def evaluate(wider: SchemeConfig = wider) -> Precision:
            fitted = _Fitted.of(network, inputs_NCHW, wider, CPU)
            return precision_of(fitted.evaluator.logits(chosen_NCHW), network, chosen_NCHW)

        yield f"scheme.options.ring_bits={ring_bits}", evaluate


def _batches(num_samples: int, config: SchemeConfig) -> list[int]:
    return [stop - start for start, stop in micro_batches(num_samples, config.micro_batch)]
