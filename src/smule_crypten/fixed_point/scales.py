"""How the model owner fits its network into the public widths: a private factor for every value.

A value v of the network stands as the integer v * 2^scale. ReLU, pooling and sums are positively homogeneous, so a
scale may be chosen at every product, where it goes into the weights; elsewhere it follows, and the two terms of a sum
must agree.
Each scale is the largest for which the values on the owner's data, times the margin, stay within their width. The
scales stay private, but for that of the output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from smule_crypten.errors import UnshareableModelError
from smule_crypten.fixed_point.program import Program, Step
from smule_crypten.models.architecture import apply_op, lifted
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.pooling import WEIGHT_BITS
from smule_crypten.types import LogitOpening, opened_logits

OUTPUT_MARGIN_BITS = 4
"""How much larger logits may become on the peer's data than on the owner's, as a power of two."""
OUTPUT_ROOM_BITS = 5
"""By how much the ring of the output is wider than the bound of a logit, as a power of two. What lies beyond the bound
then shows, instead of wrapping back inside; D may look at differences of logits, which takes one of these bits."""
_LEAST_WEIGHT = 8
"""The largest integer weight of a layer; with less the layer would be lost in rounding."""
_SMALLEST_VALUE = 2.0**-50
"""Values of a layer that never goes beyond are treated as if they did: zeros need some scale, too."""
_LARGEST_VALUE = 2.0**64
"""Far beyond what a network computes that has not diverged; its scale still fits a byte."""
_TOLERANCE = 1e-9
_PASSES = 8
"""After so many, layers of a loop lower each other's scale without end: there is no such solution."""


@dataclass(frozen=True)
class Scales:
    """scales: one for each step of the program. bound: of the magnitude of an opened logit, a power of two."""

    scales: tuple[float, ...]
    bound: float

    @property
    def output(self) -> int:
        return round(self.scales[-1])


@dataclass
class _Group:
    """Scales that move together. fixed: the group of the input, whose scale is public."""

    fixed: bool = False
    limits: list[tuple[float, Step, float]] = field(default_factory=list)
    """(largest scale of the group, step that demands it, largest value there)."""


def fit(
    program: Program,
    parameters: Parameters,
    values: list[torch.Tensor],
    margin_bits: int,
    opening: LogitOpening,
    least_logit: float = 0.0,
) -> Scales:
    """By `plain_values` on the owner's inputs; the output holds least_logit, too, and may wrap where it is not opened.

    Raises:
        UnshareableModelError: names the layer that cannot be fitted, and the remedy.
    """
    for step, value in zip(program.steps, values, strict=True):
        if not bool((value.abs() < _LARGEST_VALUE).all()):
            raise _does_not_fit(step, f"values of magnitude {float(value.abs().max()):g} on this party's data")
    largest = [max(float(value.abs().max()), _SMALLEST_VALUE) for value in values]
    logits = opened_logits(values[-1], opening) if values[-1].dim() > 1 else values[-1]
    spread = max(float(logits.abs().max()), least_logit, _SMALLEST_VALUE)
    scales = _Solver(program, largest, margin_bits, _weight_sizes(program, parameters)).solve(spread)
    return Scales(tuple(scales), bound=2.0 ** math.ceil(math.log2(spread) + OUTPUT_MARGIN_BITS))


def plain_values(program: Program, parameters: Parameters, inputs_NX: torch.Tensor) -> list[torch.Tensor]:
    """Every step in plain float64."""
    values: list[torch.Tensor] = []
    for step in program.steps:
        operands = [values[i] for i in step.inputs]
        match step.kind:
            case "input":
                values.append(lifted(inputs_NX).double())
            case "mask" | "truncate":
                values.append(operands[0])
            case "flatten":
                values.append(operands[0].reshape(len(operands[0]), *step.shape))
            case "product":
                weight, bias = parameters[step.name]
                value = apply_op(step.weighted, operands, weight.double(), None if bias is None else bias.double())
                values.append(value if step.pool is None else apply_op(step.pool.op, [value]))
            case _:
                assert step.op is not None
                values.append(apply_op(step.op, operands))
    return values


def weight_unit(step: Step, input_scale: float, output_scale: float) -> float:
    """The integer that stands for a weight of 1 in a product, which also holds the 1/n of an average over n."""
    window = 1 if step.pool is None else step.pool.window
    return math.pow(2.0, output_scale - input_scale) / window


def integer_parameters(
    program: Program, parameters: Parameters, scales: Scales
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The weight and, where there is one, the bias of each product, as the integers that stand for them.

    Raises:
        UnshareableModelError: nothing of a weight would be left.
    """
    weights, biases = {}, {}
    for position, step in enumerate(program.steps):
        if step.kind != "product":
            continue
        weight, bias = parameters[step.name]
        input_scale, output_scale = scales.scales[step.inputs[0]], scales.scales[position]
        weights[step.name] = _integer_weight(step, weight, input_scale, output_scale)
        if bias is not None:
            biases[step.name] = _integer_bias(step, bias, output_scale)
    return weights, biases


def _integer_weight(step: Step, weight: torch.Tensor, input_scale: float, output_scale: float) -> torch.Tensor:
    """The weight of a product as int64.

    Raises:
        UnshareableModelError: nothing of the weight would be left.
    """
    integers: torch.Tensor = (weight.double() * weight_unit(step, input_scale, output_scale)).round().long()
    largest = float(weight.abs().max())
    if largest > 0 and int(integers.abs().max()) < _LEAST_WEIGHT:
        raise _does_not_fit(step, f"its weights, up to {largest:g}, vanish in fixed point")
    return integers


def _integer_bias(step: Step, bias: torch.Tensor, output_scale: float) -> torch.Tensor:
    """The bias as int64 that is added to the result of a product (after its pooling): (C, H', W') or (features,)."""
    bias = bias.double()
    if step.pool is not None:
        bias = apply_op(step.pool.op, [bias.view(1, -1, 1, 1).expand(1, -1, *step.pool.size)])[0]
    elif len(step.shape) == 3:
        bias = bias.view(-1, 1, 1)
    integers: torch.Tensor = (bias * 2.0**output_scale).round().long()
    return integers


def _weight_sizes(program: Program, parameters: Parameters) -> dict[str, float]:
    """The largest weight of each product, pooling included."""
    return {
        step.name: float(parameters[step.name][0].abs().max()) / (1 if step.pool is None else step.pool.window)
        for step in program.products
    }


class _Solver:
    """scale of a step = scale of its group + offset."""

    def __init__(
        self, program: Program, largest: Sequence[float], margin_bits: int, weight_sizes: dict[str, float]
    ) -> None:
        self._program = program
        self._weight_sizes = weight_sizes
        self._largest = largest
        self._margin_bits = margin_bits
        self._groups: list[_Group] = []
        self._merged: dict[int, tuple[int, float]] = {}
        self._places: list[tuple[int, float]] = []

    def solve(self, spread: float) -> list[float]:
        for position, step in enumerate(self._program.steps):
            self._places.append(self._place(step))
            self._limit(position, step)
        output = self._program.output
        self._add_limit(len(self._places) - 1, output.ring - 1, output, spread, OUTPUT_MARGIN_BITS + OUTPUT_ROOM_BITS)
        chosen = {number: self._choose(number) for number in range(len(self._groups)) if number not in self._merged}
        for least_bits in (self._program.input_bits / 2, math.log2(_LEAST_WEIGHT) + 1):
            roomy = dict(chosen)
            if not all(self._make_room_for_weights(roomy, least_bits) for _ in range(_PASSES)):
                chosen = roomy
                break
        roots = [self._root(place) for place in self._places]
        return [chosen[group] + offset for group, offset in roots]

    def _place(self, step: Step) -> tuple[int, float]:
        if step.kind == "input":
            self._groups.append(_Group(fixed=True))
            return 0, 0.0
        if step.kind == "product":
            self._groups.append(_Group())
            return len(self._groups) - 1, 0.0
        group, offset = self._places[step.inputs[0]]
        match step.kind:
            case "truncate" | "relu":
                offset -= self._program.steps[step.inputs[0]].fraction
            case "sum" | "weight":
                assert step.pool is not None
                offset += math.log2(step.pool.window) + (WEIGHT_BITS if step.kind == "weight" else 0)
            case "add":
                offset += step.shifts[0]
                other, other_offset = self._places[step.inputs[1]]
                self._merge((group, offset), (other, other_offset + step.shifts[1]), step)
        return group, offset

    def _limit(self, position: int, step: Step) -> None:
        """What an opened value must fit into."""
        if step.openings:
            source = step.inputs[0]
            bits = step.openings[0].width - 1 + self._program.steps[source].fraction
            # A truncation needs the top bit for its offset; a maximum compares differences of two values.
            signed = step.kind == "truncate" or (step.kind == "max" and not step.is_non_negative)
            self._add_limit(source, bits - (1 if signed else 0), step, self._largest[source], self._margin_bits)
        if step.kind in ("weight", "sum", "add") and step.fraction:
            bits = step.width - 1 + step.fraction
            self._add_limit(position, bits, step, self._largest_at(position, step), self._margin_bits)

    def _largest_at(self, position: int, step: Step) -> float:
        return max(self._largest[i] for i in (position, *step.inputs))

    def _add_limit(self, position: int, bits: int, step: Step, largest: float, margin_bits: int) -> None:
        group, offset = self._root(self._places[position])
        scale = bits - margin_bits - math.log2(largest) - offset
        self._groups[group].limits.append((scale, step, largest))

    def _choose(self, number: int) -> float:
        group = self._groups[number]
        if not group.limits:
            return float(self._program.input_bits)
        scale, step, largest = min(group.limits, key=lambda limit: limit[0])
        output_group, output_offset = self._root(self._places[-1])
        if group.fixed:
            if self._program.input_bits > scale + _TOLERANCE:
                raise _does_not_fit(step, f"values up to {largest:g} at the scale of the input")
            chosen = float(self._program.input_bits)
            if number == output_group and not float(chosen + output_offset).is_integer():
                raise _does_not_fit(step, "the output is the input averaged over a window that is no power of two")
            return chosen
        if number == output_group:
            return math.floor(scale + output_offset + _TOLERANCE) - output_offset
        return scale

    def _make_room_for_weights(self, chosen: dict[int, float], least_bits: float) -> bool:
        """Lower the scales of products' inputs where their weights would keep fewer bits; says whether there was one.

        The scale of a sum that they go to can demand it.
        """
        is_changed = False
        for position, step in reversed(list(enumerate(self._program.steps))):
            size = self._weight_sizes.get(step.name, 0.0) if step.kind == "product" else 0.0
            if size == 0.0:
                continue
            (group, offset), (source, source_offset) = (self._root(self._places[i]) for i in (position, step.inputs[0]))
            if group == source or self._groups[source].fixed:
                continue
            bits = chosen[group] + offset - chosen[source] - source_offset + math.log2(size)
            missing = math.ceil(least_bits - bits - _TOLERANCE)
            if missing > 0:
                chosen[source] -= missing
                is_changed = True
        return is_changed

    def _root(self, place: tuple[int, float]) -> tuple[int, float]:
        group, offset = place
        while group in self._merged:
            group, further = self._merged[group]
            offset += further
        return group, offset

    def _merge(self, first: tuple[int, float], second: tuple[int, float], step: Step) -> None:
        (group, offset), (other, other_offset) = self._root(first), self._root(second)
        if group == other:
            if abs(offset - other_offset) > _TOLERANCE:
                raise _does_not_fit(step, "its two terms are the same value at two scales")
            return
        if self._groups[other].fixed:
            group, other, offset, other_offset = other, group, other_offset, offset
        # scale(other) + other_offset = scale(group) + offset
        self._merged[other] = (group, offset - other_offset)
        moved = self._groups[other].limits
        self._groups[group].limits += [
            (scale - (offset - other_offset), limited, largest) for scale, limited, largest in moved
        ]


def _does_not_fit(step: Step, what: str) -> UnshareableModelError:
    return UnshareableModelError(
        f"layer {step.name}",
        f"{what}: it does not fit the ring",
        "set scheme.options.ring_bits=64, train with weight decay, add BatchNorm, or use scheme=crypten",
    )
