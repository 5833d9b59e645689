"""How a value of the program becomes images on a grid: its channels as they are, or more and smaller ones.

All channels of an image share D's secret, so what costs is the number of polynomials of one channel: each takes another
slot or secret. A vector is cut into many short channels, so that a whole micro-batch fits into one polynomial of each.
An image whose windows lie stride pixels apart can be taken apart by row and column modulo the stride: windows of the
smaller images lie side by side. What is best depends on the widths of everything; packing_plan.py compares bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from smule_crypten.lattice.grid import Axis


@dataclass(frozen=True)
class Spread:
    """channels, rows, columns: of the images on the grid. phases: into how many images one is taken apart."""

    channels: int
    rows: Axis
    columns: Axis
    phases: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def images(self, x: torch.Tensor) -> torch.Tensor:
        """A value (N, features) or (N, C, H, W) as images (N, channels, rows, columns).

        Features are cut into channels one after the other; the last one is filled up with zeros.
        """
        if x.dim() == 2:
            return _filled(x, self.channels * self.columns.size).view(len(x), self.channels, 1, self.columns.size)
        return x if self.phases == (1, 1) else self._apart(x, self.padding, (self.rows.size, self.columns.size))

    def kernel(self, weight: torch.Tensor) -> torch.Tensor:
        """A weight (O, features) or (O, C / groups, kernel size) as it meets those images."""
        if weight.dim() == 2:
            return self.images(weight)
        taps = (len(self.rows.taps), len(self.columns.taps))
        return weight if self.phases == (1, 1) else self._apart(weight, (0, 0), taps)

    def _apart(self, x: torch.Tensor, padding: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
        """Rows and columns by their place modulo phases, counted from the padding: (N, C * phases, *size)."""
        (rows, columns), (top, left) = self.phases, padding
        right, bottom = size[1] * columns - left - x.size(3), size[0] * rows - top - x.size(2)
        x = F.pad(x, (left, right, top, bottom))
        parts = x.view(len(x), -1, size[0], rows, size[1], columns).permute(0, 1, 3, 5, 2, 4)
        return parts.reshape(len(x), -1, *size)


def vector_spreads(features: int, degree: int, images: int) -> list[Spread]:
    """Channels so short that the images of a micro-batch take one polynomial, two, four and so on of each."""
    found = [_cut(features, -(-features // -(-features // degree)))]
    length = max(1, degree // images)
    while length < features and length < degree:
        found.append(_cut(features, -(-features // -(-features // length))))
        # Without coefficients that hold nothing, where that does not take many more channels.
        divisors = [part for part in range(length // 4 + 1, length + 1) if features % part == 0]
        found += [_cut(features, part) for part in divisors[-1:]]
        length *= 2
    return found


def phase_spread(channels: int, axes: tuple[Axis, Axis]) -> Spread | None:
    """For windows several cells apart, with all taps up to the last; None where there is nothing to take apart."""
    phases = (axes[0].stride, axes[1].stride)
    if phases == (1, 1) or any(axis.taps != tuple(range(len(axis.taps))) or axis.step > 1 for axis in axes):
        return None
    rows, columns = (_side_by_side(axis) for axis in axes)
    padding = (axes[0].padding, axes[1].padding)
    return Spread(channels * phases[0] * phases[1], rows, columns, phases, padding)


def _side_by_side(axis: Axis) -> Axis:
    taps = -(-len(axis.taps) // axis.stride)
    return Axis(axis.outputs - 1 + taps, axis.outputs, 1, 0, tuple(range(taps)))


def _cut(features: int, length: int) -> Spread:
    channels = -(-features // length)
    return Spread(channels, Axis(1, 1, 1, 0, (0,)), Axis(length, 1, 1, 0, tuple(range(length))))


def _filled(x: torch.Tensor, length: int) -> torch.Tensor:
    return F.pad(x, (0, length - x.size(1)))
