"""How a network becomes integers that answer, in every scheme that rounds: fitted, compensated, and tried out.

The owner evaluates the scheme's ideal function, its integers in the clear, on inputs of its own before it answers
anything: how far it is from the plain network, and how rounding scatters the logits. What else differs between schemes
is an `Arithmetic`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.options import fixed_point_options
from smule_crypten.fixed_point.program import Program
from smule_crypten.fixed_point.rounding import compensated, remedies
from smule_crypten.fixed_point.scales import Scales, fit, plain_values
from smule_crypten.inference.answerer import NOISE_ROOM, Answerer, AnswerTerms
from smule_crypten.inference.noise import NoiseRule, Scatter, Trial
from smule_crypten.inference.precision import Precision, check_precision, precision_of
from smule_crypten.inference.scheme import CPU, SecureInferenceScheme, check_opening
from smule_crypten.models.equalise import equalised
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.types import Cost, LogitOpening

_WIDER_RINGS = (36, 40, 48, 56, 64)
"""What is tried for a network that loses too much in the configured one."""


@dataclass(frozen=True, kw_only=True)
class FixedPointAnswerer(Answerer):
    """A network as integers.

    Attributes:
        program: the steps of the network.
        scales: of every value.
        parameters: with weights that are whole multiples of their units.
    """

    program: Program
    scales: Scales


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A network in the integers of a scheme. plain_NC: its logits in float64 on the owner's inputs."""

    config: SchemeConfig
    program: Program
    scales: Scales
    parameters: Parameters
    plain_NC: torch.Tensor

    @classmethod
    def of(
        cls,
        network: TranslatedNetwork,
        inputs_NX: torch.Tensor,
        config: SchemeConfig,
        opening: LogitOpening,
        least_logit: float,
    ) -> Fitted:
        """Raises UnshareableModelError where a layer does not fit the ring."""
        program, plain = lower(network.architecture, config), network.parameters
        values = plain_values(program, plain, inputs_NX)
        scales = fit(program, plain, values, fixed_point_options(config).margin_bits, opening, least_logit)
        parameters = compensated(program, plain, scales, remedies(program, values))
        return cls(config=config, program=program, scales=scales, parameters=parameters, plain_NC=values[-1])


class IdealFunction(Protocol):
    """What both roles of a scheme compute together."""

    def logits(self, inputs_NX: torch.Tensor, opening: LogitOpening = "differences") -> torch.Tensor:
        """What is opened of the logits (N, C), float64, of one evaluation of each input; without noise."""


class Arithmetic(ABC):
    """What a scheme's integers do, beyond the program that they follow."""

    @abstractmethod
    def ideal(self, fitted: Fitted, device: torch.device) -> IdealFunction:
        """With everything in it that is drawn at random.

        Raises:
            UnshareableModelError: the scheme cannot evaluate these integers.
        """

    @abstractmethod
    def scatter(
        self,
        fitted: Fitted,
        trial: Trial,
        evaluations_RNC: torch.Tensor,
        device: torch.device,
        opening: LogitOpening,
    ) -> Scatter:
        """How the logits scatter, and what of it the data owner knows.

        Args:
            evaluations_RNC: of the ideal function on the inputs of trial.
        """


def fixed_point_answerer(
    network: TranslatedNetwork,
    inputs_NX: torch.Tensor,
    config: SchemeConfig,
    noise: NoiseRule,
    device: torch.device,
    opening: LogitOpening,
    arithmetic: Arithmetic,
) -> FixedPointAnswerer:
    """See SecureInferenceScheme.answerer_of."""
    check_opening(network.architecture, opening)
    alike = equalised(network, inputs_NX)
    trying = _Trying(alike, inputs_NX, config, device, opening, arithmetic)
    fitted, scatter = trying.measured()
    # Logits that are small beside their noise, as of a network that says nearly the same of all samples: the ring of
    # the output must hold the noise, which is known only now. Noise that grows without end is refused by sigma.
    while fitted.scales.bound < NOISE_ROOM * (sigma := noise.sigma(scatter)):
        fitted, scatter = trying.measured(least_logit=2 * sigma)
    margin = 2.0 ** fixed_point_options(config).margin_bits
    return FixedPointAnswerer(
        network=network,
        parameters=fitted.parameters,
        config=config,
        scatter=scatter,
        terms=AnswerTerms.of(inputs_NX, margin=margin, logit_bound=fitted.scales.bound, logit_noise=sigma),
        program=fitted.program,
        scales=fitted.scales,
    )


class FixedPointScheme(SecureInferenceScheme):
    """A scheme of integers, whose two directions run at the same time."""

    @classmethod
    @abstractmethod
    def arithmetic_of(cls, network: TranslatedNetwork) -> Arithmetic:
        """What its integers do with this network."""

    @classmethod
    def combine(cls, asking: Cost, answering: Cost) -> Cost:
        """Both directions run at the same time."""
        return dataclasses.replace(asking + answering, rounds=max(asking.rounds, answering.rounds))

    @classmethod
    def check_options(cls, config: SchemeConfig) -> dict[str, Any]:
        return fixed_point_options(config).model_dump()

    @classmethod
    def input_limit(cls, config: SchemeConfig) -> float:
        options = fixed_point_options(config)
        return 2.0 ** (options.ring_bits - config.precision_bits - options.input_bits - 1)

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
    ) -> FixedPointAnswerer:
        return fixed_point_answerer(network, inputs_NX, config, noise, device, opening, cls.arithmetic_of(network))


@dataclass(frozen=True)
class _Trying:
    network: TranslatedNetwork
    inputs_NX: torch.Tensor
    config: SchemeConfig
    device: torch.device
    opening: LogitOpening
    arithmetic: Arithmetic

    def measured(self, least_logit: float = 0.0) -> tuple[Fitted, Scatter]:
        """The network in integers that are good enough, and how its logits scatter.

        Raises:
            UnshareableModelError: as fit, Arithmetic.ideal and check_precision.
        """
        fitted = Fitted.of(self.network, self.inputs_NX, self.config, self.opening, least_logit)
        ideal = self.arithmetic.ideal(fitted, self.device)
        trial = Trial.of(self.inputs_NX, fitted.program.num_multiplications)
        evaluations_RNC = trial.evaluations(partial(ideal.logits, opening=self.opening))
        found = precision_of(trial.own(evaluations_RNC[0]), fitted.plain_NC[trial.own_N], self.opening)
        check_precision(found, self._wider(trial, least_logit))
        return fitted, self.arithmetic.scatter(fitted, trial, evaluations_RNC, self.device, self.opening)

    def _wider(self, trial: Trial, least_logit: float) -> Iterator[tuple[str, Callable[[], Precision]]]:
        """Rings of more bits, and what comes out in each."""
        for ring_bits in _WIDER_RINGS:
            if ring_bits <= fixed_point_options(self.config).ring_bits:
                continue
            wider = self.config.model_copy(update={"options": {**self.config.options, "ring_bits": ring_bits}})

            def evaluate(wider: SchemeConfig = wider) -> Precision:
                fitted = Fitted.of(self.network, self.inputs_NX, wider, self.opening, least_logit)
                evaluated_NC = self.arithmetic.ideal(fitted, CPU).logits(trial.own(trial.inputs), self.opening)
                return precision_of(evaluated_NC, fitted.plain_NC[trial.own_N], self.opening)

            yield f"scheme.options.ring_bits={ring_bits}", evaluate
