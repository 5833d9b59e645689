"""From a public architecture to the steps of a scheme of integers.

First the operations become steps with their widths; then every value gets the smallest ring that serves its users, from
the last step to the first; then the openings follow.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ConfigError, UnshareableModelError
from smule_crypten.fixed_point.options import FixedPointOptions, fixed_point_options
from smule_crypten.fixed_point.program import Kind, Opening, Program, Step
from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import NETWORK_INPUT
from smule_crypten.models.pooling import WEIGHT_BITS, AveragePool, SumPool, comparisons

MAX_RING_BITS = 64
_LEAST_WIDTH = 3
"""A sign, an offset and one bit more."""
OUTPUT_GUARD_BITS = 9
"""By how much the ring of the output is wider, since nothing is truncated there: room for the last weights, and for
logits beyond their bound to be seen as such (OUTPUT_ROOM_BITS of scales.py)."""


def lower(architecture: arch.Architecture, config: SchemeConfig) -> Program:
    """The steps for an architecture.

    Raises:
        ConfigError: ring_bits and precision_bits leave no room for a value.
        UnshareableModelError: a layer needs more than 64 bits.
    """
    options = fixed_point_options(config)
    width = options.ring_bits - config.precision_bits
    if width < _LEAST_WIDTH:
        raise ConfigError(
            f"scheme.options.ring_bits={options.ring_bits} less scheme.precision_bits={config.precision_bits} leaves "
            f"{width} bits for a value; raise ring_bits until {_LEAST_WIDTH} are left"
        )
    builder = _Builder(architecture, width, config.precision_bits)
    steps = _with_rings(builder.build())
    return Program(tuple(_with_openings(step, steps, options) for step in steps), options.input_bits)


class _Builder:
    """Appends steps operation by operation."""

    def __init__(self, architecture: arch.Architecture, width: int, precision_bits: int) -> None:
        self._architecture = architecture
        self._width = width
        self._precision_bits = precision_bits
        self._steps: list[Step] = []
        self._masks: dict[int, int] = {}
        self._truncations: dict[int, int] = {}

    def build(self) -> list[Step]:
        architecture, absorbed = self._architecture, _absorbed_pools(self._architecture)
        self._add(Step(name="input", kind="input", inputs=(), shape=architecture.lifted_input_shape, width=self._width))
        values: dict[int, int] = {NETWORK_INPUT: 0}
        for position, op in enumerate(architecture.ops):
            inputs = tuple(values[i] for i in op.inputs)
            if position in absorbed.values():
                values[position] = inputs[0]
            elif position in absorbed:
                following = absorbed[position]
                pool = _sum_pool(architecture, architecture.ops[following])
                values[position] = self._lower(op, inputs, architecture.shapes[following], pool)
            else:
                values[position] = self._lower(op, inputs, architecture.shapes[position], None)
        last = values[len(architecture.ops) - 1]
        if last != len(self._steps) - 1:
            self._flatten("output", last, self._steps[last].shape)
        return self._steps

    def _lower(self, op: arch.Op, inputs: tuple[int, ...], shape: tuple[int, ...], pool: SumPool | None) -> int:
        match op:
            case arch.Conv2d() | arch.Linear():
                return self._product(op, inputs[0], shape, pool)
            case arch.ReLU():
                return self._rectified(op, inputs[0], shape)
            case arch.MaxPool2d():
                return self._maximum(op, inputs[0], shape)
            case arch.AvgPool2d() | arch.AdaptiveAvgPool2d():
                return self._average(op, inputs[0], shape)
            case arch.Add():
                return self._sum_of_two(op, inputs, shape)
            case arch.Flatten():
                return self._flatten(op.name, inputs[0], shape)

    def _product(self, op: arch.WeightedOp, source: int, shape: tuple[int, ...], pool: SumPool | None) -> int:
        source = self._truncated(source)
        if source not in self._masks:
            self._masks[source] = self._append(op.name, "mask", source)
        growth = max(0, self._steps[source].width - self._width)
        fraction = self._precision_bits + growth
        return self._append(
            op.name, "product", self._masks[source], shape=shape, width=self._width, fraction=fraction, op=op, pool=pool
        )

    def _rectified(self, op: arch.ReLU, source: int, shape: tuple[int, ...]) -> int:
        return self._append(op.name, "relu", source, shape=shape, op=op, is_non_negative=True)

    def _maximum(self, op: arch.MaxPool2d, source: int, shape: tuple[int, ...]) -> int:
        source = self._truncated(source)
        sign = self._steps[source].is_non_negative
        return self._append(op.name, "max", source, shape=shape, op=op, is_non_negative=sign)

    def _average(self, op: AveragePool, source: int, shape: tuple[int, ...]) -> int:
        pool = _pool_of_shape(op, self._steps[source].shape)
        growth = math.ceil(math.log2(pool.window))
        if not pool.is_uniform:
            source = self._truncated(source)
            return self._append(op.name, "weight", source, shape=shape, fraction=growth + WEIGHT_BITS, op=op, pool=pool)
        before = self._steps[source]
        return self._append(
            op.name,
            "sum",
            source,
            shape=shape,
            width=before.width + (growth if before.fraction == 0 else 0),
            fraction=before.fraction,
            op=op,
            pool=pool,
            is_non_negative=before.is_non_negative,
        )

    def _sum_of_two(self, op: arch.Add, inputs: tuple[int, ...], shape: tuple[int, ...]) -> int:
        left, right = (self._steps[i] for i in inputs)
        fraction = max(left.fraction, right.fraction)
        return self._append(
            op.name,
            "add",
            *inputs,
            shape=shape,
            width=max(left.width, right.width),
            fraction=fraction,
            op=op,
            shifts=(fraction - left.fraction, fraction - right.fraction),
            is_non_negative=left.is_non_negative and right.is_non_negative,
        )

    def _flatten(self, name: str, source: int, shape: tuple[int, ...]) -> int:
        before = self._steps[source]
        kept = {"fraction": before.fraction, "is_non_negative": before.is_non_negative}
        return self._append(name, "flatten", source, shape=shape, **kept)

    def _truncated(self, source: int) -> int:
        """The activation of a value: itself, or a truncation of it."""
        before = self._steps[source]
        if before.fraction == 0:
            return source
        if source not in self._truncations:
            self._truncations[source] = self._append(f"{before.name} (truncation)", "truncate", source)
        return self._truncations[source]

    def _append(self, name: str, kind: Kind, *inputs: int, **fields: Any) -> int:
        """A step after others, of the shape and width of the first of them unless fields say otherwise."""
        before = self._steps[inputs[0]]
        kept: dict[str, Any] = {"shape": before.shape, "width": before.width}
        return self._add(Step(name=name, kind=kind, inputs=inputs, **kept | fields))

    def _add(self, step: Step) -> int:
        bits = step.width + step.fraction
        if bits > MAX_RING_BITS:
            raise UnshareableModelError(
                f"layer {step.name}", f"its values need {bits} bits", "lower scheme.options.ring_bits"
            )
        self._steps.append(step)
        return len(self._steps) - 1


def _absorbed_pools(architecture: arch.Architecture) -> dict[int, int]:
    """Convolution -> the average pooling that alone uses its result, where all windows are of one size."""
    users: dict[int, list[int]] = {}
    for position, op in enumerate(architecture.ops):
        for i in op.inputs:
            users.setdefault(i, []).append(position)
    absorbed = {}
    for position, op in enumerate(architecture.ops):
        following = users.get(position, [])
        if not isinstance(op, arch.Conv2d) or len(following) != 1:
            continue
        pool = architecture.ops[following[0]]
        if isinstance(pool, arch.AvgPool2d | arch.AdaptiveAvgPool2d) and _sum_pool(architecture, pool).is_uniform:
            absorbed[position] = following[0]
    return absorbed


def _sum_pool(architecture: arch.Architecture, op: arch.Op) -> SumPool:
    (shape,) = architecture.input_shapes(op)
    assert isinstance(op, arch.AvgPool2d | arch.AdaptiveAvgPool2d)
    return _pool_of_shape(op, shape)


def _pool_of_shape(op: AveragePool, shape: tuple[int, ...]) -> SumPool:
    return SumPool(op, (shape[1], shape[2]))


def _with_rings(steps: list[Step]) -> list[Step]:
    """Give every value the smallest ring that serves all of its users, from the last step to the first."""
    rings = [0] * len(steps)
    rings[-1] = min(MAX_RING_BITS, steps[-1].width + steps[-1].fraction + OUTPUT_GUARD_BITS)
    for position in reversed(range(len(steps))):
        step, ring = steps[position], rings[position]
        if step.kind == "max" and not step.is_non_negative:
            # What one level of its tree gives, the next one compares: differences, one bit wider.
            ring = rings[position] = max(ring, step.width + 1)
        for number, source in enumerate(step.inputs):
            before = steps[source]
            needed = before.width + before.fraction
            match step.kind:
                case "add":
                    needed = ring - step.shifts[number]
                case "mask" | "product" | "sum" | "flatten" | "weight":
                    needed = ring
                case "max":
                    needed = max(ring, needed)
            rings[source] = max(rings[source], needed)
    return [dataclasses.replace(step, ring=ring) for step, ring in zip(steps, rings, strict=True)]


def _with_openings(step: Step, steps: list[Step], options: FixedPointOptions) -> Step:
    opened = _opened(step, steps, options)
    width = max((opening.width for opening in opened.openings), default=0)
    if width >= MAX_RING_BITS:
        raise UnshareableModelError(
            f"layer {step.name}", f"it opens values of {width} bits", "lower scheme.options.ring_bits"
        )
    return opened


def _opened(step: Step, steps: list[Step], options: FixedPointOptions) -> Step:
    if step.kind in ("truncate", "relu"):
        before = steps[step.inputs[0]]
        opening = Opening(
            elements=step.elements,
            width=before.width,
            ring=step.ring,
            blocks=options.blocks(before.width - 1),
            fraction=before.fraction,
            offset=0 if step.kind == "relu" else 1 << (before.width - 2),
        )
        return dataclasses.replace(step, openings=(opening,))
    if step.kind == "max":
        assert isinstance(step.op, arch.MaxPool2d)
        # The difference of two values of either sign needs one bit more.
        width = steps[step.inputs[0]].width + (0 if step.is_non_negative else 1)
        blocks = options.blocks(width - 1)
        openings = tuple(
            Opening(elements=pairs * step.elements, width=width, ring=step.ring, blocks=blocks)
            for pairs in comparisons(step.op)
        )
        return dataclasses.replace(step, openings=openings)
    return step
