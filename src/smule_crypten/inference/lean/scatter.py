"""How a network's logits scatter under the scheme's stochastic rounding, measured on the owner's own samples.

D sees nothing of rho (roles.py, step 2), so all of the scatter is unknown to it.
"""

from __future__ import annotations

import torch

from smule_crypten.inference.lean.clear import ClearEvaluator
from smule_crypten.inference.lean.program import Program
from smule_crypten.models.architecture import num_elements

REPEATS = 64
MAX_SAMPLES = 16
_MAX_PRODUCTS = 3 * 10**10
"""Multiplications that the measurement may take: seconds. Large networks are measured on fewer samples."""


def examined_samples(program: Program, inputs_NCHW: torch.Tensor) -> torch.Tensor:
    """Some of the inputs, spread over all of them."""
    count = min(len(inputs_NCHW), _affordable_samples(program))
    return inputs_NCHW[torch.arange(count) * len(inputs_NCHW) // count]


def repeated_evaluations(evaluator: ClearEvaluator, inputs_NCHW: torch.Tensor) -> torch.Tensor:
    """Centred logits (REPEATS, N, C), each evaluation rounded afresh."""
    return torch.stack([evaluator.logits(inputs_NCHW).cpu() for _ in range(REPEATS)])


def _affordable_samples(program: Program) -> int:
    products = sum(step.elements * num_elements(step.weighted.weight_shape[1:]) for step in program.products)
    return max(1, min(MAX_SAMPLES, _MAX_PRODUCTS // (REPEATS * max(1, products))))
