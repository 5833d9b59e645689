"""Ideal functionality: the data owner sends its inputs in the clear and the model owner answers in the clear.

Protects nothing. It serves tests and upper bounds: what would a perfect scheme teach?
"""

from __future__ import annotations

from typing import ClassVar

import torch

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.noise import NoiseRule, Scatter
from smule_crypten.inference.scheme import CPU, AnswerTerms, Examined, SequentialScheme, micro_batches
from smule_crypten.models.architecture import Architecture, num_elements
from smule_crypten.models.calibration import calibrate
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.types import Adversary, Cost, DirectionCost, InferenceQuery

_FLOAT_BYTES = 4


class PlaintextScheme(SequentialScheme):
    name: ClassVar[str] = "plaintext"
    adversary: ClassVar[Adversary] = "none"
    needs_dealer: ClassVar[bool] = False

    @classmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        rounds = 2 * len(micro_batches(num_samples, config.micro_batch))
        inputs = _FLOAT_BYTES * num_samples * num_elements(architecture.input_shape)
        logits = _FLOAT_BYTES * num_samples * num_elements(architecture.output_shape)
        return DirectionCost(
            data_owner=Cost(rounds=rounds, bytes_sent=inputs, bytes_received=logits),
            model_owner=Cost(rounds=rounds, bytes_sent=logits, bytes_received=inputs),
        )

    @classmethod
    def examine(
        cls, network: TranslatedNetwork, inputs_NCHW: torch.Tensor, config: SchemeConfig, device: torch.device = CPU
    ) -> Examined:
        """Nothing is rounded, so nothing needs hiding; the range is that of fixed point, as with the other schemes."""
        return Examined(
            logit_bound=calibrate(network, inputs_NCHW, config.precision_bits),
            scatter=Scatter(),
            plain=network.parameters,
            parameters=network.parameters,
        )

    @classmethod
    def terms(
        cls, examined: Examined, inputs_NCHW: torch.Tensor, config: SchemeConfig, noise: NoiseRule
    ) -> AnswerTerms:
        """It hides nothing, and adds only what the owner asks for."""
        return super().terms(examined, inputs_NCHW, config, NoiseRule(num_answers=None, extra=noise.extra))

    def _run_direction(
        self, parameters: Parameters, query: InferenceQuery, architecture: Architecture
    ) -> torch.Tensor | None:
        """1. D sends x. 2. M computes the logits. 3. M sends them to D. Two rounds a micro-batch."""
        channel, layer = self.session.channel, self.session.meter.layer
        answers = []
        for start, stop in micro_batches(query.num_samples, self.config.micro_batch):
            if query.inputs_NCHW is not None:
                with layer("input"):
                    channel.send(query.inputs_NCHW[start:stop])
                with layer("logits"):
                    answers.append(channel.receive((stop - start, *architecture.output_shape), torch.float32))
            else:
                with layer("input"):
                    inputs = channel.receive((stop - start, *architecture.input_shape), torch.float32)
                with layer("logits"):
                    network = TranslatedNetwork(architecture=architecture, parameters=parameters)
                    logits_NC = evaluate_plaintext(network, inputs)
                    noise = self.output_noise(tuple(logits_NC.shape))
                    channel.send(logits_NC if noise is None else logits_NC + noise.float())
        if query.inputs_NCHW is None:
            return None
        return torch.cat([torch.empty(0, *architecture.output_shape), *answers])


def evaluate_plaintext(network: TranslatedNetwork, inputs_NCHW: torch.Tensor) -> torch.Tensor:
    """Logits (N, C) in float32, by plain torch in float64."""
    return network.values(inputs_NCHW.double())[-1].float()
