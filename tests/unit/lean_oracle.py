"""What the lean scheme must compute, in Python's integers: no tensor arithmetic, no shares, none of its code.

Values are arrays of dtype object. A residue is an integer between 0 and 2^64.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch

from smule_crypten.fixed_point.program import Program, Step
from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import WEIGHT_BITS

RING = 1 << 64
Pair = tuple[int, int]
Values = Any
Weights = dict[str, tuple[torch.Tensor, torch.Tensor | None]]
"""Integer weight and bias (int64) of each product; a bias has one value a channel."""


def residues(tensor: torch.Tensor) -> Values:
    """An int64 tensor as Python integers between 0 and 2^64."""
    return np.array([value % RING for value in tensor.flatten().tolist()], dtype=object).reshape(tuple(tensor.shape))


def padded(images: Values, padding: Pair) -> Values:
    """With zeros around each image."""
    height, width = images.shape[2:]
    result = np.zeros((*images.shape[:2], height + 2 * padding[0], width + 2 * padding[1]), dtype=object)
    result[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width] = images
    return result


def convolved(op: arch.Conv2d, x: torch.Tensor, weight: torch.Tensor) -> Values:
    """A convolution of ring elements, modulo 2^64."""
    return convolve(op, residues(x), residues(weight)) % RING


def convolve(op: arch.Conv2d, images: Values, kernels: Values) -> Values:
    """A convolution, window by window."""
    images = padded(images, op.padding)
    outputs, per_group, *kernel = op.weight_shape
    reach = [op.dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
    size = [(images.shape[2 + axis] - reach[axis]) // op.stride[axis] + 1 for axis in (0, 1)]
    result = np.zeros((len(images), outputs, *size), dtype=object)
    for n, o, i, j in product(*map(range, result.shape)):
        first = o // (outputs // op.groups) * per_group
        top, left = i * op.stride[0], j * op.stride[1]
        window = images[n, first : first + per_group, top : top + reach[0], left : left + reach[1]]
        window = window[:, :: op.dilation[0], :: op.dilation[1]]
        result[n, o, i, j] = sum(a * b for a, b in zip(window.flat, kernels[o].flat, strict=True))
    return result


def program_values(program: Program, x: torch.Tensor, weights: Weights) -> list[Values]:
    """Every step of a program as integers, for weights under which no truncation leaves a rest."""
    values: list[Values] = []
    for step in program.steps:
        operands = [values[i] for i in step.inputs]
        if step.kind == "input":
            values.append(integers(x))
        else:
            values.append(_step(step, operands, program, weights))
    return values


def integers(tensor: torch.Tensor) -> Values:
    return np.array(tensor.flatten().tolist(), dtype=object).reshape(tuple(tensor.shape))


def _step(step: Step, operands: list[Values], program: Program, weights: Weights) -> Values:
    value = operands[0]
    match step.kind:
        case "mask":
            return value
        case "product":
            return _product(step, value, *weights[step.name])
        case "truncate" | "relu":
            unit = 1 << program.steps[step.inputs[0]].fraction
            assert all(v % unit == 0 for v in value.flat)
            return np.maximum(value // unit, 0) if step.kind == "relu" else value // unit
        case "max":
            assert isinstance(step.op, arch.MaxPool2d)
            return largest(step.op, value, step.shape)
        case "sum":
            assert step.pool is not None
            return window_sums(step.pool.op, value)[0]
        case "weight":
            assert step.pool is not None
            sums, counts = window_sums(step.pool.op, value)
            ratios = [round(max(counts.flat) * (1 << WEIGHT_BITS) / count) for count in counts.flat]
            return sums * np.array(ratios, dtype=object).reshape(counts.shape)
        case "add":
            return value * (1 << step.shifts[0]) + operands[1] * (1 << step.shifts[1])
        case _:
            return value.reshape(len(value), *step.shape)


def _product(step: Step, value: Values, weight: torch.Tensor, bias: torch.Tensor | None) -> Values:
    if isinstance(step.op, arch.Linear):
        result = value.dot(integers(weight).T)
        return result if bias is None else result + integers(bias)
    assert isinstance(step.op, arch.Conv2d)
    result = convolve(step.op, value, integers(weight))
    if bias is not None:
        result = result + integers(bias).reshape(-1, 1, 1)
    return result if step.pool is None else window_sums(step.pool.op, result)[0]


def window_sums(op: arch.AvgPool2d | arch.AdaptiveAvgPool2d, images: Values) -> tuple[Values, Values]:
    """Sums over windows, and how many values each one averages (H', W')."""
    spans = [_spans(op, images.shape[2 + axis], axis) for axis in (0, 1)]
    sums = np.zeros((*images.shape[:2], len(spans[0]), len(spans[1])), dtype=object)
    counts = np.zeros(sums.shape[2:], dtype=object)
    for i, j in product(*map(range, counts.shape)):
        (top, bottom, rows), (left, right, columns) = spans[0][i], spans[1][j]
        sums[:, :, i, j] = images[:, :, top:bottom, left:right].sum((2, 3))
        counts[i, j] = rows * columns
    return sums, counts


def _spans(op: arch.AvgPool2d | arch.AdaptiveAvgPool2d, length: int, axis: int) -> list[tuple[int, int, int]]:
    """(start, stop, divisor) of each window along an axis."""
    if isinstance(op, arch.AdaptiveAvgPool2d):
        outputs = op.output_size[axis]
        spans = [(i * length // outputs, -(-(i + 1) * length // outputs)) for i in range(outputs)]
        return [(start, stop, stop - start) for start, stop in spans]
    kernel, padding = op.kernel[axis], op.padding[axis]
    starts = range(-padding, length + padding - kernel + 1, op.stride[axis])
    clipped = [(max(start, 0), min(start + kernel, length)) for start in starts]
    return [(start, stop, kernel if op.count_include_pad else stop - start) for start, stop in clipped]


def largest(op: arch.MaxPool2d, images: Values, shape: tuple[int, ...]) -> Values:
    """Maximum over windows; what lies outside the image is not looked at."""
    result = np.zeros((len(images), *shape), dtype=object)
    for n, c, i, j in product(*map(range, result.shape)):
        rows, columns = (
            [
                start
                for start in (
                    at * op.stride[axis] - op.padding[axis] + k * op.dilation[axis] for k in range(op.kernel[axis])
                )
                if 0 <= start < images.shape[2 + axis]
            ]
            for axis, at in ((0, i), (1, j))
        )
        result[n, c, i, j] = max(images[n, c, row, column] for row in rows for column in columns)
    return result
