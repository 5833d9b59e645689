"""Channels of unequal size brought closer together, without changing what the network computes.

ReLU, pooling and sums are positively homogeneous channel by channel. So the weights that make a hidden channel may be
multiplied by a factor, and those that read it divided by it; the network stays the same function (Nagel and others,
2019, arXiv:1906.04721). In fixed point it matters: all channels of a value share one scale, and a channel far below the
largest one would be lost in rounding, as after folding a BatchNorm into a convolution. Factors are powers of two, so
that float64 weights stay exact.
"""

from __future__ import annotations

import math

import torch

from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import NETWORK_INPUT, num_elements
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import TranslatedNetwork

HEADROOM_BITS = 3
"""A channel is raised to this far below the largest, as a power of two: what is small on the owner's samples may be
larger on the other party's."""
MAX_FACTOR_BITS = 40


def equalised(network: TranslatedNetwork, inputs_NX: torch.Tensor, least: float | None = None) -> TranslatedNetwork:
    """The same function with hidden channels raised to near the largest one of their value, on these inputs.

    Args:
        least: channels are also raised to near this magnitude, where all of a value are smaller.
    """
    groups = _Groups(network.architecture)
    largest = groups.largest(network.values(inputs_NX.double()))
    factors = {group: _factors(found, least) for group, found in largest.items()}
    parameters: Parameters = {}
    for position, op in enumerate(network.architecture.ops):
        if op.name in network.parameters:
            weight, bias = network.parameters[op.name]
            raised = factors.get(groups.of[position])
            before = factors.get(groups.of[op.inputs[0]])
            if before is not None:
                weight = _divided(op, weight, before.repeat_interleave(groups.repeats[op.inputs[0]]))
            if raised is not None:
                weight = weight * raised.view(-1, *[1] * (weight.dim() - 1))
                bias = None if bias is None else bias * raised
            parameters[op.name] = weight, bias
    return TranslatedNetwork(architecture=network.architecture, parameters=parameters)


class _Groups:
    """Values whose channels must get the same factors: a product begins a group, other operations hand it on.

    of: the group of each value. repeats: how many neighbouring entries of the first axis belong to one channel. fixed:
    groups that cannot be scaled, those of input and output among them.
    """

    def __init__(self, architecture: arch.Architecture) -> None:
        self.of: dict[int, int] = {NETWORK_INPUT: NETWORK_INPUT}
        self.repeats: dict[int, int] = {NETWORK_INPUT: 1}
        self.fixed = {NETWORK_INPUT}
        for position, op in enumerate(architecture.ops):
            self._add(position, op, architecture)
        self.fixed.add(self.of[len(architecture.ops) - 1])

    def largest(self, values: list[torch.Tensor]) -> dict[int, torch.Tensor]:
        """The largest magnitude of each channel of each group that may be scaled."""
        found: dict[int, torch.Tensor] = {}
        for position, value in enumerate(values):
            group = self.of[position]
            if group in self.fixed:
                continue
            by_entry = value.abs().transpose(0, 1).flatten(1).amax(1)
            by_channel = by_entry.view(-1, self.repeats[position]).amax(1)
            found[group] = torch.maximum(found[group], by_channel) if group in found else by_channel
        return found

    def _add(self, position: int, op: arch.Op, architecture: arch.Architecture) -> None:
        source = op.inputs[0]
        self.of[position], self.repeats[position] = self.of[source], self.repeats[source]
        match op:
            case arch.Conv2d() | arch.Linear():
                self.of[position], self.repeats[position] = position, 1
            case arch.Flatten():
                (shape,) = architecture.input_shapes(op)
                self.repeats[position] *= num_elements(shape[1:])
            case arch.Add():
                self._join(position, op.inputs[1])

    def _join(self, position: int, other: int) -> None:
        first, second = self.of[position], self.of[other]
        if first == second:
            return
        if self.repeats[position] != self.repeats[other]:
            self.fixed |= {first, second}
            return
        if second in self.fixed:
            first, second = second, first
        self.of = {place: first if group == second else group for place, group in self.of.items()}


def _factors(largest: torch.Tensor, least: float | None) -> torch.Tensor:
    """Powers of two, 1 or more, for channels of these magnitudes; 1 for a channel that is always zero."""
    goal = float(largest.max()) if least is None else max(float(largest.max()), least)
    if not 0 < goal < math.inf:
        return torch.ones_like(largest)
    bits = torch.log2(goal / largest.clamp(min=goal * 2.0**-64)).floor() - HEADROOM_BITS
    bits = bits.clamp(0, MAX_FACTOR_BITS) * (largest > 0)
    return torch.pow(2.0, bits).to(largest.dtype)


def _divided(op: arch.Op, weight: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """The weight of a product for inputs that were multiplied by factors, one for each entry of the first axis."""
    if isinstance(op, arch.Conv2d):
        by_group = factors.view(op.groups, -1)
        return weight / by_group.repeat_interleave(len(weight) // op.groups, 0).view(*weight.shape[:2], 1, 1)
    return weight / factors
