"""From a program to the plan of its linear layers: which windows share a grid, how many bits, how many slots.

More slots cost bytes with every set of weights, more secrets with every micro-batch; the plan takes what is least in
sum. Nothing here depends on weights or inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from smule_crypten.fixed_point.products import folds
from smule_crypten.fixed_point.program import Program, Step
from smule_crypten.lattice.grid import Axis, fit
from smule_crypten.lattice.parameters import GUARD_BITS, Lattice, lattice_for
from smule_crypten.lattice.plan import HandOver, Plan, Product
from smule_crypten.models import architecture as arch

_INPUT_BITS = 3
"""Bits of the network's input below its unit that D sends: rounded there, it is only another input."""
_SECRET_BITS = 7
"""Bits below a unit that c1 and p keep, besides the guard bits: their rounding meets a ternary secret, which makes it
about sqrt(N) times larger."""


def plan_lattice(
    program: Program,
    images: int,
    micro_batches: int,
    *,
    guard_bits: int = GUARD_BITS,
    lattice: Lattice | None = None,
) -> Plan:
    """The plan of a program.

    Args:
        images: of a whole micro-batch.
        micro_batches: that one set of weights is expected to answer.

    Raises:
        ConfigError: no lattice takes the program's ring.
        UnshareableModelError: a window of a layer does not fit into a polynomial.
    """
    lattice = lattice or lattice_for([step.ring for step in program.steps if step.kind == "mask"], guard_bits)
    hand_overs = []
    for position, step in enumerate(program.steps):
        if step.kind == "mask":
            users = [product for product in program.products if product.inputs[0] == position]
            for together in _alike(users):
                hand_overs.append(_hand_over(program, position, together, lattice, guard_bits))
    plan = Plan(lattice, tuple(hand_overs), guard_bits)
    return _with_slots(plan, images, micro_batches)


def _with_slots(plan: Plan, images: int, micro_batches: int) -> Plan:
    """The number of secrets, and the slots that it asks for, with the fewest bytes in all."""
    most = max(hand_over.grid.polynomials(images) for hand_over in plan.hand_overs)
    plans = []
    for secrets in range(1, most + 1):
        slots = [-(-hand_over.grid.polynomials(images) // secrets) for hand_over in plan.hand_overs]
        hand_overs = tuple(replace(h, slots=count) for h, count in zip(plan.hand_overs, slots, strict=True))
        plans.append(replace(plan, hand_overs=hand_overs))
    return min(plans, key=lambda one: one.weight_bytes + micro_batches * one.p_bytes(images))


def _hand_over(program: Program, position: int, steps: Sequence[Step], lattice: Lattice, guard_bits: int) -> HandOver:
    mask = program.steps[position]
    is_input = _is_input(program, position)
    if isinstance(steps[0].op, arch.Linear):
        channels = -(-mask.shape[0] // lattice.degree)
        length = -(-mask.shape[0] // channels)
        rows, columns = Axis(1, 1, 1, 0, (0,)), Axis(length, 1, 1, 0, tuple(range(length)))
    else:
        channels = mask.shape[0]
        rows, columns = (_joint_axis(steps, mask.shape[1 + axis], axis) for axis in (0, 1))
    fraction = 0 if is_input else min(guard_bits, lattice.modulus_bits - mask.ring)
    below = _INPUT_BITS if is_input else guard_bits
    return HandOver(
        position=position,
        grid=fit(steps[0].name, rows, columns, lattice.degree),
        channels=channels,
        ring=mask.ring,
        fraction=fraction,
        value_bits=min(lattice.modulus_bits, mask.ring + below),
        is_input=is_input,
        products=tuple(_product(step, (rows, columns), mask.ring, lattice, guard_bits) for step in steps),
    )


def _product(step: Step, axes: tuple[Axis, Axis], ring: int, lattice: Lattice, guard_bits: int) -> Product:
    bits = min(lattice.modulus_bits, ring - step.fraction + _SECRET_BITS + guard_bits)
    if isinstance(step.op, arch.Linear):
        kernel, start, dilation, groups = (1, len(axes[1].taps)), (0, 0), (1, 1), 1
    else:
        assert isinstance(step.op, arch.Conv2d)
        rows, columns = (_Window.of(step, axis) for axis in (0, 1))
        kernel = (rows.kernel, columns.kernel)
        start = (rows.start(axes[0]), columns.start(axes[1]))
        dilation = (rows.spacing(axes[0]), columns.spacing(axes[1]))
        groups = step.op.groups
    return Product(
        step=step,
        is_folded=_is_folded(step),
        outputs=step.weighted.weight_shape[0],
        groups=groups,
        kernel_size=kernel,
        start=start,
        dilation=dilation,
        c1_bits=bits,
    )


@dataclass(frozen=True)
class _Window:
    """Of a convolution along one axis, its pooling folded into it."""

    outputs: int
    stride: int
    padding: int
    dilation: int
    kernel: int

    @classmethod
    def of(cls, step: Step, axis: int) -> _Window:
        op = step.op
        assert isinstance(op, arch.Conv2d)
        kernel, stride = op.weight_shape[2 + axis], op.stride[axis]
        outputs = step.shape[1 + axis] if step.pool is None or _is_folded(step) else step.pool.size[axis]
        if _is_folded(step):
            assert step.pool is not None
            assert isinstance(step.pool.op, arch.AvgPool2d)
            window = step.pool.op.kernel[axis]
            kernel, stride = kernel + stride * (window - 1), stride * window
        return cls(outputs, stride, op.padding[axis], op.dilation[axis], kernel)

    @property
    def taps(self) -> range:
        """From the first pixel of the image, for the first window."""
        return range(-self.padding, -self.padding + self.dilation * self.kernel, self.dilation)

    def start(self, joint: Axis) -> int:
        """Cells before the first tap, on an axis shared with others."""
        return (joint.padding - self.padding) // joint.step

    def spacing(self, joint: Axis) -> int:
        """Cells from one tap to the next."""
        return max(1, self.dilation // joint.step)


def _joint_axis(steps: Sequence[Step], size: int, axis: int) -> Axis:
    """Of the windows of several products, alike in stride and number."""
    windows = [_Window.of(step, axis) for step in steps]
    padding = max(window.padding for window in windows)
    taps = sorted({tap + padding for window in windows for tap in window.taps})
    return Axis(size, windows[0].outputs, windows[0].stride, padding, tuple(taps))


def _alike(steps: Sequence[Step]) -> list[list[Step]]:
    """Products of one value whose windows have the same places: they share what D sends."""
    groups: dict[object, list[Step]] = {}
    for step in steps:
        key: object = "linear"
        if isinstance(step.op, arch.Conv2d):
            windows = [_Window.of(step, axis) for axis in (0, 1)]
            key = tuple((window.outputs, window.stride) for window in windows)
        groups.setdefault(key, []).append(step)
    return list(groups.values())


def _is_folded(step: Step) -> bool:
    return isinstance(step.op, arch.Conv2d) and step.pool is not None and folds(step.op, step.pool)


def _is_input(program: Program, position: int) -> bool:
    """Whether a value follows from D's input alone, so that M has no share of it."""
    step = program.steps[position]
    if step.kind in ("mask", "sum", "weight", "add", "flatten"):
        return all(_is_input(program, source) for source in step.inputs)
    return step.kind == "input"
