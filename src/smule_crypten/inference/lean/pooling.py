"""Sums over pooling windows, exact in any ring: index arithmetic and additions only, on every device.

An average is a sum whose factor 1/n goes into a scale. Where the windows of one layer hold different numbers of
values (a border that is not counted), each sum is multiplied by a public integer so that all have the same factor.
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
        return int(self._counts.max())

    @property
    def is_uniform(self) -> bool:
        """Whether all windows average the same number of values."""
        return bool((self._counts == self.window).all())

    @property
    def _counts(self) -> torch.Tensor:
        rows, columns = self._axes
        return rows.counts.unsqueeze(1) * columns.counts

    def sums(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, C, H, W) summed over each window."""
        for dim, axis in zip((2, 3), self._axes, strict=True):
            x = F.pad(x, (0, 0, 0, 1) if dim == 2 else (0, 1))
            indices = axis.indices.to(x.device)
            total = x.index_select(dim, indices[:, 0])
            for column in range(1, indices.size(1)):
                total = total + x.index_select(dim, indices[:, column])
            x = total
        return x

    def weights(self, device: torch.device) -> torch.Tensor:
        """Public integers (H', W'), with WEIGHT_BITS fractional bits, that bring all windows to the largest one."""
        ratio = self.window / self._counts.double()
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
