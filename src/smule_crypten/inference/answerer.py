"""A version of a network, translated once and ready to answer, and what its owner says of the answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.noise import Scatter, on_grid
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.types import LogitOpening

NOISE_ROOM = 16.0
"""So many standard deviations of the noise a bound of the logits holds at least: half for noise, half for logits."""


@dataclass(frozen=True, kw_only=True)
class AnswerTerms:
    """What a model owner says of its answers; the data owner may know it.

    logit_bound: beyond it an answer cannot be right. input_bound: beyond it an input is larger than what the network
    was examined for, so that hidden values may wrap unseen. logit_noise: standard deviation of each logit's noise.
    """

    logit_bound: float
    input_bound: float
    logit_noise: float

    @classmethod
    def of(cls, inputs_NX: torch.Tensor, *, margin: float, logit_bound: float, logit_noise: float) -> AnswerTerms:
        """From what was measured on the owner's inputs; the bound is raised to what the noise takes.

        Args:
            margin: how many times larger values may be on the peer's inputs than on these, the owner's.
        """
        if logit_noise > 0:
            logit_bound = max(logit_bound, 2.0 ** math.ceil(math.log2(NOISE_ROOM * logit_noise)))
        largest = max(float(inputs_NX.abs().max()), 1e-6) if inputs_NX.numel() else 1.0
        return cls(logit_bound=logit_bound, input_bound=on_grid(margin * largest, up=False), logit_noise=logit_noise)


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """Made by a scheme's `prepare_answers`, or without a session by `answerer_of`; its owner alone may see it.

    The weights are copies: what is trained afterwards has no part in the answers. Its noise hides as many answers as
    the rule that it was made with says, and no more: make another one for a larger limit. A scheme may add what else it
    needs.

    Args:
        network: as its owner has it. parameters: those that are evaluated in their place.
        config: what it was prepared for.
        scatter: how what is opened of its logits scatters by rounding.
    """

    network: TranslatedNetwork
    parameters: Parameters
    config: SchemeConfig
    scatter: Scatter
    terms: AnswerTerms

    @property
    def opening(self) -> LogitOpening:
        """What its noise and its bounds are made for."""
        return self.scatter.opening
