"""From a public architecture to the steps of the lean scheme: which value has which width, in which ring.

Every value is an integer with `width` significant bits (two's complement) above `fraction` bits that the next
truncation drops: an activation has fraction 0, a product has the fraction of its weights. Shares of a value are exact
modulo 2^ring, where ring is what its users need. All of this follows from the architecture and the options, so both
parties and the dealer know it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from smule_crypten.config import SchemeConfig
from smule_crypten.errors import ConfigError, UnshareableModelError
from smule_crypten.inference.lean.options import LeanOptions, lean_options
from smule_crypten.inference.lean.pooling import WEIGHT_BITS, SumPool
from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import NETWORK_INPUT, num_elements

MAX_RING_BITS = 64
OUTPUT_GUARD_BITS = 6
"""By how much the ring of the output is wider, since nothing is truncated there: room for the last weights."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The opening of a truncated value, per sample: `elements` values of `width` bits, brought to ring `ring`.

    blocks: widths of the blocks of a comparison with zero, highest first; empty where the value is not compared.
    dropped: low bits below the lowest block.
    """

    elements: int
    width: int
    ring: int
    dropped: int = 0
    blocks: tuple[int, ...] = ()

    @property
    def extension(self) -> int:
        """Bits by which the ring grows."""
        return max(0, self.ring - self.width)


Kind = Literal["input", "mask", "product", "truncate", "relu", "max", "sum", "weight", "add", "flatten"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. inputs are positions of earlier steps; shape leaves out the batch.

    input: D's input. mask: D hands its share to M under a mask. product: L_W of a masked value, then sums over pool.
    truncate: drop the fraction. relu: the same, and what is negative becomes zero. max: maximum over windows.
    sum: sums over windows. weight: sums over windows of different size, times public integers. add: the sum of two
    values; shifts bring both to one fraction. flatten: a new shape.
    """

    name: str
    kind: Kind
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    width: int
    fraction: int
    op: arch.Op | None = None
    pool: SumPool | None = None
    shifts: tuple[int, int] = (0, 0)
    ring: int = 0
    openings: tuple[Opening, ...] = ()
    is_non_negative: bool = False

    @property
    def elements(self) -> int:
        return num_elements(self.shape)

    @property
    def weighted(self) -> arch.WeightedOp:
        """The operation of a product."""
        assert isinstance(self.op, arch.Conv2d | arch.Linear)
        return self.op


@dataclass(frozen=True)
class Program:
    """Steps in order; the last one is the output. input_bits are the fractional bits of an input."""

    steps: tuple[Step, ...]
    input_bits: int

    @property
    def output(self) -> Step:
        return self.steps[-1]

    @property
    def products(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.kind == "product")


def lower(architecture: arch.Architecture, config: SchemeConfig) -> Program:
    """The steps for an architecture.

    Raises:
        ConfigError: ring_bits and precision_bits leave no room for a value.
        UnshareableModelError: a layer needs more than 64 bits.
    """
    options = lean_options(config)
    width = options.ring_bits - config.precision_bits
    if width - 2 <= options.dropped_bits:
        raise ConfigError(
            f"scheme.options.ring_bits={options.ring_bits} less scheme.precision_bits={config.precision_bits} leaves "
            f"{width} bits for a value, of which {options.dropped_bits} are dropped; raise ring_bits"
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
        self._add("input", "input", (), architecture.input_shape, self._width)
        values: dict[int, int] = {NETWORK_INPUT: 0}
        for position, op in enumerate(architecture.ops):
            inputs = [values[i] for i in op.inputs]
            if position in absorbed.values():
                values[position] = inputs[0]
            else:
                shape = architecture.shapes[absorbed.get(position, position)]
                pool = None
                if position in absorbed:
                    pool = _sum_pool(architecture, architecture.ops[absorbed[position]])
                values[position] = self._lower(op, inputs, shape, pool)
        last = values[len(architecture.ops) - 1]
        if last != len(self._steps) - 1:
            self._add("output", "flatten", (last,), self._steps[last].shape, *self._form(last))
        return self._steps

    def _lower(self, op: arch.Op, inputs: list[int], shape: tuple[int, ...], pool: SumPool | None) -> int:
        first = inputs[0]
        width, fraction = self._form(first)
        match op:
            case arch.Conv2d() | arch.Linear():
                return self._product(op, first, shape, pool)
            case arch.ReLU():
                return self._add(op.name, "relu", (first,), shape, width, op=op, is_non_negative=True)
            case arch.MaxPool2d():
                source = self._truncated(first)
                width = self._steps[source].width
                is_non_negative = self._steps[source].is_non_negative
                return self._add(op.name, "max", (source,), shape, width, op=op, is_non_negative=is_non_negative)
            case arch.AvgPool2d() | arch.AdaptiveAvgPool2d():
                return self._average(op, first, shape)
            case arch.Add():
                return self._sum_of_two(op, inputs, shape)
            case arch.Flatten():
                is_non_negative = self._steps[first].is_non_negative
                return self._add(op.name, "flatten", (first,), shape, width, fraction, is_non_negative=is_non_negative)

    def _product(self, op: arch.WeightedOp, source: int, shape: tuple[int, ...], pool: SumPool | None) -> int:
        source = self._truncated(source)
        if source not in self._masks:
            before = self._steps[source]
            self._masks[source] = self._add(op.name, "mask", (source,), before.shape, before.width)
        growth = max(0, self._steps[source].width - self._width)
        inputs = (self._masks[source],)
        return self._add(
            op.name, "product", inputs, shape, self._width, self._precision_bits + growth, op=op, pool=pool
        )

    def _average(self, op: arch.AvgPool2d | arch.AdaptiveAvgPool2d, source: int, shape: tuple[int, ...]) -> int:
        pool = _pool_of_shape(op, self._steps[source].shape)
        growth = math.ceil(math.log2(pool.window))
        if not pool.is_uniform:
            source = self._truncated(source)
            width, _ = self._form(source)
            return self._add(op.name, "weight", (source,), shape, width, growth + WEIGHT_BITS, op=op, pool=pool)
        before = self._steps[source]
        width = before.width + (growth if before.fraction == 0 else 0)
        return self._add(
            op.name,
            "sum",
            (source,),
            shape,
            width,
            before.fraction,
            op=op,
            pool=pool,
            is_non_negative=before.is_non_negative,
        )

    def _sum_of_two(self, op: arch.Add, inputs: list[int], shape: tuple[int, ...]) -> int:
        operands = [self._steps[i] for i in inputs]
        fraction = max(operand.fraction for operand in operands)
        width = max(operand.width for operand in operands)
        left, right = (fraction - operand.fraction for operand in operands)
        is_non_negative = all(operand.is_non_negative for operand in operands)
        return self._add(
            op.name,
            "add",
            tuple(inputs),
            shape,
            width,
            fraction,
            op=op,
            shifts=(left, right),
            is_non_negative=is_non_negative,
        )

    def _truncated(self, source: int) -> int:
        """The activation of a value: itself, or a truncation of it."""
        before = self._steps[source]
        if before.fraction == 0:
            return source
        if source not in self._truncations:
            name = f"{before.name} (truncation)"
            self._truncations[source] = self._add(name, "truncate", (source,), before.shape, before.width)
        return self._truncations[source]

    def _form(self, position: int) -> tuple[int, int]:
        return self._steps[position].width, self._steps[position].fraction

    def _add(
        self,
        name: str,
        kind: Kind,
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        width: int,
        fraction: int = 0,
        *,
        op: arch.Op | None = None,
        pool: SumPool | None = None,
        shifts: tuple[int, int] = (0, 0),
        is_non_negative: bool = False,
    ) -> int:
        if width + fraction > MAX_RING_BITS:
            raise UnshareableModelError(
                f"layer {name}", f"its values need {width + fraction} bits", "lower scheme.options.ring_bits"
            )
        step = Step(
            name=name,
            kind=kind,
            inputs=inputs,
            shape=shape,
            width=width,
            fraction=fraction,
            op=op,
            pool=pool,
            shifts=shifts,
            is_non_negative=is_non_negative,
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


def _pool_of_shape(op: arch.AvgPool2d | arch.AdaptiveAvgPool2d, shape: tuple[int, ...]) -> SumPool:
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


def _with_openings(step: Step, steps: list[Step], options: LeanOptions) -> Step:
    opened = _opened(step, steps, options)
    width = max((opening.width for opening in opened.openings), default=0)
    if width >= MAX_RING_BITS:
        raise UnshareableModelError(
            f"layer {step.name}", f"it opens values of {width} bits", "lower scheme.options.ring_bits"
        )
    return opened


def _opened(step: Step, steps: list[Step], options: LeanOptions) -> Step:
    if step.kind in ("truncate", "relu"):
        before = steps[step.inputs[0]]
        compared = step.kind == "relu"
        return dataclasses.replace(
            step, openings=(_opening(step.elements, before.width, step.ring, options, compared),)
        )
    if step.kind == "max":
        assert isinstance(step.op, arch.MaxPool2d)
        # The difference of two values of either sign needs one bit more.
        width = steps[step.inputs[0]].width + (0 if step.is_non_negative else 1)
        halves = []
        window = step.op.kernel[0] * step.op.kernel[1]
        while window > 1:
            halves.append(window // 2)
            window -= window // 2
        openings = tuple(_opening(half * step.elements, width, step.ring, options, True) for half in halves)
        return dataclasses.replace(step, openings=openings)
    return step


def _opening(elements: int, width: int, ring: int, options: LeanOptions, compared: bool) -> Opening:
    if not compared:
        return Opening(elements=elements, width=width, ring=ring)
    compared_bits = width - 1 - options.dropped_bits
    count = math.ceil(compared_bits / options.block_bits)
    blocks = tuple(compared_bits // count + (number < compared_bits % count) for number in range(count))
    return Opening(elements=elements, width=width, ring=ring, dropped=options.dropped_bits, blocks=blocks)
