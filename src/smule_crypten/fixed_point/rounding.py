"""Rounding weights to integers so that the errors cancel on the data that the owner of the network has.

Rounding each weight to its nearest integer is the largest error of the scheme by far: what a layer sees is never
negative and alike in neighbouring places, so small errors of one sign add up. Instead the weights of an output are
rounded one after the other, and what one rounding changes on the owner's data is taken back, in least squares, by the
weights that are still to come and in the end by the bias (optimal brain quantization; Frantar and others, 2023,
arXiv:2210.17323). This costs no byte: the weights are the owner's secret, whatever their values.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from smule_crypten.fixed_point.program import Program, Step
from smule_crypten.fixed_point.scales import Scales, weight_unit
from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import apply_op, num_elements
from smule_crypten.models.module_handlers import Parameters

MAX_PATCHES = 1 << 15
"""Places of a layer's input that are looked at."""
MAX_COLUMNS = 1 << 10
"""Weights of an output that make up for each other."""
MAX_WEIGHTS = 1 << 23
"""Layers with more weights are rounded to the nearest integers; their many errors average out."""
_DAMPING = 1e-3
"""Relative to the mean square of an input: keeps the least squares stable, and their solution small."""


Remedies = dict[str, list[torch.Tensor]]
"""For some products: for every group of at most MAX_COLUMNS weights of an output and the bias, an upper triangle. Its
row j says how the weights after j, and the bias, make up for a change of weight j."""


def remedies(program: Program, values: list[torch.Tensor]) -> Remedies:
    """What the `plain_values` on the owner's data say about errors that cancel, whatever the scales."""
    found = {}
    for step in program.products:
        grouped = isinstance(step.op, arch.Conv2d) and step.op.groups > 1
        if num_elements(step.weighted.weight_shape) <= MAX_WEIGHTS and not grouped:
            parts = torch.split(_patches(step, values[step.inputs[0]]), MAX_COLUMNS, dim=1)
            found[step.name] = [_remedy(part) for part in parts]
    return found


def compensated(program: Program, parameters: Parameters, scales: Scales, found: Remedies) -> Parameters:
    """The parameters with weights that are whole multiples of their unit, and biases that fit them, as float64."""
    adjusted = dict(parameters)
    for position, step in enumerate(program.steps):
        if step.kind != "product" or step.name not in found:
            continue
        weight, bias = parameters[step.name]
        unit = weight_unit(step, scales.scales[step.inputs[0]], scales.scales[position])
        rows = weight.double().reshape(len(weight), -1) * unit
        offset = torch.zeros(len(weight), dtype=torch.float64) if bias is None else bias.double() * unit
        integers = []
        for part, remedy in zip(torch.split(rows, MAX_COLUMNS, dim=1), found[step.name], strict=True):
            rounded, offset = _rounded(part, offset, remedy)
            integers.append(rounded)
        adjusted[step.name] = (torch.cat(integers, dim=1) / unit).view(weight.shape), offset / unit
    return adjusted


def _patches(step: Step, x: torch.Tensor) -> torch.Tensor:
    """What the weights of a product are multiplied with: float64 (places, fan-in), averaged over the pooling."""
    op = step.weighted
    if isinstance(op, arch.Linear):
        return x[:MAX_PATCHES]
    size = step.shape[1:] if step.pool is None else step.pool.size
    # Images from all over the data, which may lie class by class.
    x = x[:: math.ceil(len(x) * size[0] * size[1] / MAX_PATCHES)]
    kernel = (op.weight_shape[2], op.weight_shape[3])
    patches = F.unfold(x, kernel, op.dilation, op.padding, op.stride).view(len(x), -1, *size)
    if step.pool is not None:
        patches = apply_op(step.pool.op, [patches])
    return patches.permute(0, 2, 3, 1).reshape(-1, patches.size(1))


def _remedy(patches: torch.Tensor) -> torch.Tensor:
    """From (places, columns), for the columns and a constant one."""
    patches = torch.cat([patches, patches.new_ones(len(patches), 1)], dim=1)
    moments = patches.T @ patches / len(patches)
    damping = _DAMPING * moments.diagonal().mean() * torch.eye(len(moments), dtype=torch.float64)
    triangle: torch.Tensor = torch.linalg.cholesky(torch.linalg.inv(moments + damping), upper=True)
    triangle /= triangle.diagonal().clone().unsqueeze(1)
    return triangle


def _rounded(rows: torch.Tensor, offset: torch.Tensor, remedy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers near rows (outputs, columns), and the offset (outputs,) that fits them."""
    left = torch.cat([rows, offset.unsqueeze(1)], dim=1)
    for column in range(rows.size(1)):
        change = left[:, column].round() - left[:, column]
        left[:, column:] += torch.outer(change, remedy[column, column:])
    return left[:, :-1].round(), left[:, -1]
