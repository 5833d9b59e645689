"""How the logits of a network scatter under the scheme's stochastic rounding, measured on the owner's own samples.

D sees nothing of rho (roles.py, step 2), so all of the scatter is unknown to it.
"""

from __future__ import annotations

import torch

from smule_crypten.inference.lean.clear import ClearEvaluator
from smule_crypten.inference.lean.program import Program
from smule_crypten.inference.lean.scales import Scales
from smule_crypten.inference.noise import Scatter, measured_scatter
from smule_crypten.models.architecture import num_elements
from smule_crypten.models.module_handlers import Parameters

REPEATS = 64
MAX_SAMPLES = 16
_MAX_PRODUCTS = 3 * 10**10
"""Multiplications that the measurement may take: seconds. Large networks are measured on fewer samples."""


def rounding_scatter(
    program: Program, parameters: Parameters, scales: Scales, inputs_NCHW: torch.Tensor, device: torch.device
) -> Scatter:
    """Of centred logits, over REPEATS evaluations of up to MAX_SAMPLES of the inputs, spread over all of them."""
    generator = torch.Generator().manual_seed(0)
    evaluator = ClearEvaluator(program, parameters, scales, generator, device)
    count = min(len(inputs_NCHW), _affordable_samples(program))
    chosen = inputs_NCHW[torch.arange(count) * len(inputs_NCHW) // count]
    return measured_scatter(torch.stack([evaluator.logits(chosen).cpu() for _ in range(REPEATS)]), is_known=False)


def _affordable_samples(program: Program) -> int:
    products = sum(step.elements * num_elements(step.weighted.weight_shape[1:]) for step in program.products)
    return max(1, min(MAX_SAMPLES, _MAX_PRODUCTS // (REPEATS * max(1, products))))
