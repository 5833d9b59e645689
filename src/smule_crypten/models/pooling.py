"""The windows of pooling operations on shares: index arithmetic and additions only, exact in any ring, on every device.

An average is a sum whose factor 1/n goes into a scale. Where the windows of one layer hold different numbers of
values (a border that is not counted), each sum is multiplied by a public integer so that all have the same factor. A
maximum is a tree of comparisons over the values of a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

from smule_crypten.models import architecture as arch

AveragePool = arch.AvgPool2d | arch.AdaptiveAvgPool2d
WEIGHT_BITS = 8
"""Fractional bits of the public integers for windows of different size."""


@dataclass(frozen=True)
class _Axis:
    """indices (outputs, kernel) of inputs, or `size` for padding; counts (outputs,) of what an average divides by."""

    indices: torch.Tensor
    counts: torch.Tensor


@dataclass(frozen=True)
class SumPool:
    """The windows of an average-pooling operation on images of a height and width."""

    op: AveragePool
    size: tuple[int, int]

    @cached_property
    def _axes(self) -> tuple[_Axis, _Axis]:
        return _axis(self.op, self.size, 0), _axis(self.op, self.size, 1)

    @property
    def window(self) -> int:
        """How many values the largest window averages."""
        return int(self.counts.max())

    @property
    def is_uniform(self) -> bool:
        """Whether all windows average the same number of values."""
        return bool((self.counts == self.window).all())

    @property
    def counts(self) -> torch.Tensor:
        """How many values each window averages, (H', W')."""
        rows, columns = self._axes
        return rows.counts.unsqueeze(1) * columns.counts

    def sums(self, x: torch.Tensor) -> torch.Tensor:
        """`x` (N, C, H, W) summed over each window."""
        for dim, axis in zip((2, 3), self._axes, strict=True):
            x = F.pad(x, (0, 0, 0, 1) if dim == 2 else (0, 1))
            indices = axis.indices.to(x.device)
            total = x.index_select(dim, indices[:, 0])
            for column in range(1, indices.size(1)):
                total = total + x.index_select(dim, indices[:, column])
            x = total
        return x

    def spread(self, gradient: torch.Tensor) -> torch.Tensor:
        """The adjoint of sums: each value (N, C, H', W') is added to all places (N, C, H, W) of its window."""
        for dim, axis, length in zip((2, 3), self._axes, self.size, strict=True):
            shape = list(gradient.shape)
            shape[dim] = length + 1  # the last place stands for padding
            total = gradient.new_zeros(shape)
            for column in range(axis.indices.size(1)):
                total.index_add_(dim, axis.indices[:, column], gradient)
            gradient = total.narrow(dim, 0, length)
        return gradient

    def weights(self, device: torch.device) -> torch.Tensor:
        """Public integers (H', W'), with WEIGHT_BITS fractional bits, that bring all windows to the largest one."""
        ratio = self.window / self.counts.double()
        return (ratio * (1 << WEIGHT_BITS)).round().long().to(device)


def _axis(op: AveragePool, size: tuple[int, int], axis: int) -> _Axis:
    length = size[axis]
    if isinstance(op, arch.AdaptiveAvgPool2d):
        outputs = op.output_size[axis]
        output = torch.arange(outputs)
        start = output * length // outputs
        stop = ((output + 1) * length + outputs - 1) // outputs
        positions = start.unsqueeze(1) + torch.arange(int((stop - start).max()))
        indices = torch.where(positions < stop.unsqueeze(1), positions, length)
        return _Axis(indices, stop - start)
    kernel, stride, padding = op.kernel[axis], op.stride[axis], op.padding[axis]
    outputs = (length + 2 * padding - kernel) // stride + 1
    positions = torch.arange(outputs).unsqueeze(1) * stride - padding + torch.arange(kernel)
    inside = (positions >= 0) & (positions < length)
    counts = torch.full((outputs,), kernel) if op.count_include_pad else inside.sum(1)
    return _Axis(torch.where(inside, positions, length), counts)


def max_pool_padding(op: arch.MaxPool2d, size: tuple[int, int], output: tuple[int, int]) -> tuple[int, int, int, int]:
    """How far to pad images of a height and width so that every window is whole, also the last one of ceil_mode.

    Returns:
        left, right, top, bottom, as torch.nn.functional.pad takes them.
    """
    top, bottom, left, right = (
        amount
        for axis in (0, 1)
        for amount in (op.padding[axis], max(0, _span(op, output, axis) - size[axis] - op.padding[axis]))
    )
    return left, right, top, bottom


def max_pool_windows(x: torch.Tensor, op: arch.MaxPool2d, output: tuple[int, int]) -> torch.Tensor:
    """The k_h * k_w shifted views of padded x that a window compares, stacked in front: (k_h * k_w, N, C, H', W')."""
    return torch.stack(_views(x, op, output))


def max_pool_spread(gradients: torch.Tensor, op: arch.MaxPool2d, size: tuple[int, int]) -> torch.Tensor:
    """The adjoint of max_pool_windows: (k_h * k_w, N, C, H', W') added up in padded images (N, C, *size)."""
    total = gradients.new_zeros((*gradients.shape[1:3], *size))
    for view, gradient in zip(_views(total, op, tuple(gradients.shape[3:])), gradients, strict=True):
        view += gradient
    return total


def _views(x: torch.Tensor, op: arch.MaxPool2d, output: tuple[int, ...]) -> list[torch.Tensor]:
    height, width = ((output[axis] - 1) * op.stride[axis] + 1 for axis in (0, 1))
    return [
        x[:, :, top : top + height : op.stride[0], left : left + width : op.stride[1]]
        for top in range(0, op.dilation[0] * op.kernel[0], op.dilation[0])
        for left in range(0, op.dilation[1] * op.kernel[1], op.dilation[1])
    ]


def comparisons(op: arch.MaxPool2d) -> list[int]:
    """How many pairs of values of a window are compared in each level of the tree."""
    return tournament(op.kernel[0] * op.kernel[1])


def tournament(window: int) -> list[int]:
    """How many pairs are compared in each level of a tree that finds the largest of `window` values."""
    pairs = []
    while window > 1:
        pairs.append(window // 2)
        window -= window // 2
    return pairs


def _span(op: arch.MaxPool2d, output: tuple[int, int], axis: int) -> int:
    """Pixels from the first one of the first window to the last one of the last window."""
    return (output[axis] - 1) * op.stride[axis] + op.dilation[axis] * (op.kernel[axis] - 1) + 1
