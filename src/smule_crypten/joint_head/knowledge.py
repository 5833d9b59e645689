"""What a party knows of the joint head once it has asked: a head of its own, in the clear, and what that took."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.joint_head.head_rows import REGRESSION_RANGE, clip_norm
from smule_crypten.joint_head.statistics import with_constant
from smule_crypten.metric_names import TaskName
from smule_crypten.types import Cost, Disclosure

SHARPNESS = 15.0
"""Logits of classes and labels, in targets of one: a ridge head's outputs are flat."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadKnowledge:
    """Exists only at the party itself.

    Attributes:
        weights_DC: float64, its estimate of the joint head (estimate.py), or the head itself where it is revealed.
        num_answers: of the head, that it was estimated by.
        noise: standard deviation of the noise on these, in units of the targets.
        cost: of the solve, and of asking and answering.
        disclosure: what this party answered the other one about the head; None for nothing.
    """

    weights_DC: torch.Tensor
    num_answers: int
    noise: float
    cost: Cost
    disclosure: Disclosure | None = None


def head_logits(knowledge: HeadKnowledge, features_NF: torch.Tensor, task: TaskName = "classification") -> torch.Tensor:
    """(N, C) float32 in the units of a network's outputs, of features as head_rows makes them."""
    outputs_NC = with_constant(features_NF, clip_norm(features_NF.size(1))) @ knowledge.weights_DC
    return as_logits(outputs_NC, task)


def as_logits(outputs_NC: torch.Tensor, task: TaskName = "classification") -> torch.Tensor:
    """Outputs of a head, in units of its targets, in those of a network's: (N, C) float32."""
    return (outputs_NC * (2 * REGRESSION_RANGE if task == "regression" else SHARPNESS)).float()
