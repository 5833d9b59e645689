"""Ideal functionality: the data owner sends its inputs in the clear and the model owner answers in the clear.

Protects nothing. It serves tests and upper bounds: what would a perfect scheme teach?
"""

from __future__ import annotations

from typing import ClassVar

import torch

from smule_crypten.config.schemes import SCHEME_TRAITS, SchemeTraits
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.answerer import Answerer, AnswerTerms
from smule_crypten.inference.noise import NoiseRule, Scatter
from smule_crypten.inference.scheme import CPU, SequentialScheme, check_opening, micro_batches
from smule_crypten.models.architecture import Architecture, num_elements
from smule_crypten.models.calibration import MARGIN, calibrate
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.types import Cost, DirectionCost, InferenceQuery, LogitOpening

_FLOAT_BYTES = 4


class PlaintextScheme(SequentialScheme):
    name: ClassVar[str] = "plaintext"
    traits: ClassVar[SchemeTraits] = SCHEME_TRAITS["plaintext"]

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        rounds = 2 * len(micro_batches(num_samples, config))
        inputs = _FLOAT_BYTES * num_samples * num_elements(architecture.input_shape)
        logits = _FLOAT_BYTES * num_samples * num_elements(architecture.output_shape)
        return DirectionCost(
            data_owner=Cost(rounds=rounds, bytes_sent=inputs, bytes_received=logits),
            model_owner=Cost(rounds=rounds, bytes_sent=logits, bytes_received=inputs),
        )

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
    ) -> Answerer:
        """Nothing is rounded, so nothing needs hiding: there is only the noise that the owner asks for.

        The range is that of fixed point, as with the other schemes.
        """
        check_opening(network.architecture, opening)
        bound = calibrate(network, network.values(inputs_NX.double()), config.precision_bits)
        return Answerer(
            network=network,
            parameters=network.parameters,
            config=config,
            scatter=Scatter(opening=opening),
            terms=AnswerTerms.of(inputs_NX, margin=MARGIN, logit_bound=bound, logit_noise=noise.extra),
        )

    def _run_direction(
        self, answerer: Answerer, query: InferenceQuery, architecture: Architecture
    ) -> torch.Tensor | None:
        """1. D sends x. 2. M computes the logits. 3. M sends them to D. Two rounds per micro-batch.

        M hides nothing of the logits, whatever is opened; D drops what is common to them where it is not asked for.
        """
        channel, layer = self.session.channel, self.session.meter.layer
        answers = [torch.empty(0, *architecture.output_shape)]
        for size, chunk in self._chunks(query):
            if chunk is not None:
                with layer("input"):
                    channel.send(chunk)
                with layer("logits"):
                    answers.append(channel.receive((size, *architecture.output_shape), torch.float32))
            else:
                with layer("input"):
                    inputs = channel.receive((size, *architecture.input_shape), torch.float32)
                with layer("logits"):
                    logits_NC = evaluate_plaintext(answerer.network, inputs)
                    noise = self.output_noise(answerer, tuple(logits_NC.shape))
                    channel.send(logits_NC if noise is None else logits_NC + noise.float())
        return None if query.inputs is None else torch.cat(answers)


def evaluate_plaintext(network: TranslatedNetwork, inputs_NX: torch.Tensor) -> torch.Tensor:
    """Logits (N, C) in float32, by plain torch in float64."""
    return network.values(inputs_NX.double())[-1].float()
