"""How a network's logits scatter under the scheme's stochastic rounding, measured on the owner's own samples.

D sees nothing of rho (roles.py, step 2), so all of the scatter is unknown to it.
"""

from __future__ import annotations

import torch

from smule_crypten.inference.lean.clear import ClearEvaluator
from smule_crypten.inference.lean.program import Program
from smule_crypten.models.architecture import num_elements


def repeated_evaluations(evaluator: ClearEvaluator, inputs_NCHW: torch.Tensor, repeats: int) -> torch.Tensor:
    """Centred logits (R, N, C), each evaluation rounded afresh."""
    return torch.stack([evaluator.logits(inputs_NCHW).cpu() for _ in range(repeats)])


def products_of(program: Program) -> int:
    """Multiplications of one evaluation of one sample."""
    return sum(step.elements * num_elements(step.weighted.weight_shape[1:]) for step in program.products)
