"""From a program to the plan of its linear layers: which windows share a grid, how it is spread, bits, slots.

More slots cost bytes with every set of weights, more secrets with every micro-batch; the plan takes what is least in
sum. Nothing here depends on weights or inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smule_crypten.errors import ConfigError, UnshareableModelError
from smule_crypten.fixed_point.products import folds
from smule_crypten.fixed_point.program import Program, Step
from smule_crypten.lattice.grid import Axis, fit
from smule_crypten.lattice.parameters import GUARD_BITS, LEAST_SECURITY, Lattice, lattice_for
from smule_crypten.lattice.plan import HandOver, Plan, Product
from smule_crypten.lattice.spread import Spread, phase_spread, vector_spreads
from smule_crypten.models import architecture as arch
from smule_crypten.mpc.packing import packed_bytes

_INPUT_BITS = 3
"""Bits of the network's input below its unit that D sends: rounded there, it is only another input."""
_MOST_KNOWN = 2.0
"""How many times the deviation of a rounding to its guard bits the known error of a hidden value may have."""
_SECRET_BITS = 7
"""Bits below a unit that c1 and p keep, besides the guard bits: their rounding meets a ternary secret, which makes it
about sqrt(N) times larger. The first layer's keep as many: D knows the secret, and the result is a hidden value."""


def plan_lattice(
    program: Program,
    images: int,
    micro_batches: int,
    *,
    guard_bits: int = GUARD_BITS,
    lattice: Lattice | None = None,
    insecure_lattice: Lattice | None = None,
) -> Plan:
    """The plan of a program. Each party makes its own: the handshake must compare them, the lattice included.

    Args:
        images: of a whole micro-batch.
        micro_batches: that one set of weights is expected to answer.
        insecure_lattice: instead of `lattice`, and taken whatever it resists, and however little room it has for guard
            bits: tests only.

    Raises:
        UnshareableModelError: there is no layer with weights, a window of one does not fit into a polynomial, or the
            ring of a hidden value is so wide that its guard bits do not fit into the modulus.
        ConfigError: the lattice resists less than LEAST_SECURITY.
    """
    if lattice is not None and min(lattice.security_bits, lattice.with_hints) < LEAST_SECURITY:
        raise ConfigError(
            f"a lattice of N = {lattice.degree}, q = 2^{lattice.modulus_bits} is not known to have "
            f"{LEAST_SECURITY} bits of security with hints; take one of the table, or pass insecure_lattice in a test"
        )
    lattice = insecure_lattice or lattice
    masks = [(position, step) for position, step in enumerate(program.steps) if step.kind == "mask"]
    if not masks:
        raise UnshareableModelError(
            "the network", "it has no layer with weights, so it hides nothing", "give it one, or use scheme=lean"
        )
    guards = {position: _guard_bits(program, position, guard_bits) for position, _ in masks}
    lattice = lattice or lattice_for(step.ring + guards[position] for position, step in masks)
    choices = []
    for position, _ in masks:
        users = [product for product in program.products if product.inputs[0] == position]
        for steps in _alike(users):
            layer = _Layer(program, position, steps, lattice, guards[position], guard_bits)
            choices.append([layer.hand_over(*spread) for spread in layer.spreads(images)])
    plan = Plan(lattice, tuple(options[0] for options in choices), guard_bits)
    if insecure_lattice is None:
        for hand_over in plan.hand_overs:
            _check_room(plan, hand_over, guards[hand_over.position])
    return _cheapest(plan, choices, images, micro_batches)


def _check_room(plan: Plan, hand_over: HandOver, below: int) -> None:
    """What D knows of the error of a hidden value stays near to what a rounding to its guard bits leaves."""
    most = _MOST_KNOWN * 2.0**-below / math.sqrt(12)
    known = plan.known_deviation(hand_over)
    if hand_over.is_input or known <= most:
        return
    raise UnshareableModelError(
        f"layer {hand_over.name}",
        f"its input has a ring of {hand_over.ring} bits, so that the data owner knows an error of {known:.2g} "
        f"units in it where {most:.2g} may be",
        f"lower scheme.options.ring_bits, by {math.ceil(math.log2(known / most))} or more, or use scheme=crypten",
    )


def _cheapest(plan: Plan, choices: list[list[HandOver]], images: int, micro_batches: int) -> Plan:
    """The number of secrets with the fewest bytes in all, and what is then best for each hand-over."""

    def with_secrets(secrets: int) -> Plan:
        slotted = [
            [replace(option, slots=-(-option.grid.polynomials(images) // secrets)) for option in options]
            for options in choices
        ]
        return replace(plan, hand_overs=tuple(min(options, key=cost) for options in slotted))

    def cost(one: HandOver) -> int:
        values = one.prepared_values(images) + one.online_values(images)
        return plan.weight_bytes_of(one) + micro_batches * packed_bytes(values, one.value_bits)

    def total(one: Plan) -> int:
        return sum(cost(hand_over) for hand_over in one.hand_overs) + micro_batches * one.p_bytes(images)

    most = max(option.grid.polynomials(images) for options in choices for option in options)
    return min((with_secrets(secrets) for secrets in range(1, most + 1)), key=total)


def _guard_bits(program: Program, position: int, guard_bits: int) -> int:
    """Below a unit of a value that D hands over, as far as it matters that D knows how it rounded.

    A value wider than others is a sum of 2^growth of them: it has 2^(growth / 2) times their error already.
    """
    if _is_input(program, position):
        return _INPUT_BITS
    growth = program.steps[position].width - program.steps[0].width
    return max(0, guard_bits - growth // 2)


@dataclass(frozen=True)
class _Layer:
    """Products of one value that are handed over together. below: bits below a unit that D sends at least."""

    program: Program
    position: int
    steps: Sequence[Step]
    lattice: Lattice
    below: int
    guard_bits: int

    @property
    def mask(self) -> Step:
        return self.program.steps[self.position]

    def spreads(self, images: int) -> list[tuple[Spread, list[_Taps]]]:
        """Ways to spread the value over channels, and where the taps of each product then are."""
        if isinstance(self.steps[0].op, arch.Linear):
            found = vector_spreads(self.mask.shape[0], self.lattice.degree, images)
            return [(spread, [_Taps.all_of(spread)] * len(self.steps)) for spread in found]
        axes = _joint_axis(self.steps, self.mask.shape[1], 0), _joint_axis(self.steps, self.mask.shape[2], 1)
        plain = Spread(self.mask.shape[0], *axes)
        options = [(plain, [_Taps.of(step, axes) for step in self.steps])]
        apart = phase_spread(self.mask.shape[0], axes) if len(self.steps) == 1 else None
        return options if apart is None else [*options, (apart, [_Taps.all_of(apart)])]

    def hand_over(self, spread: Spread, taps: Sequence[_Taps]) -> HandOver:
        modulus, ring = self.lattice.modulus_bits, self.mask.ring
        is_input = _is_input(self.program, self.position)
        fraction = 0 if is_input else min(self.guard_bits, modulus - ring)
        return HandOver(
            position=self.position,
            shape=self.mask.shape,
            spread=spread,
            grid=fit(self.steps[0].name, spread.rows, spread.columns, self.lattice.degree),
            ring=ring,
            fraction=fraction,
            # No bit of a share is rounded away: an error depends on e and the mask alone, not on how a value is parted.
            value_bits=min(modulus, ring + max(self.below, fraction)),
            is_input=is_input,
            products=tuple(self._product(step, one) for step, one in zip(self.steps, taps, strict=True)),
        )

    def _product(self, step: Step, taps: _Taps) -> Product:
        bits = self.mask.ring - step.fraction + _SECRET_BITS + self.guard_bits
        return Product(
            step=step,
            is_folded=_is_folded(step),
            outputs=step.weighted.weight_shape[0],
            groups=step.op.groups if isinstance(step.op, arch.Conv2d) else 1,
            kernel_size=taps.kernel_size,
            start=taps.start,
            dilation=taps.dilation,
            c1_bits=min(self.lattice.modulus_bits, bits),
        )


@dataclass(frozen=True)
class _Taps:
    """Of a product on its grid; see Product."""

    kernel_size: tuple[int, int]
    start: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @classmethod
    def all_of(cls, spread: Spread) -> _Taps:
        return cls((len(spread.rows.taps), len(spread.columns.taps)))

    @classmethod
    def of(cls, step: Step, axes: tuple[Axis, Axis]) -> _Taps:
        """On axes shared with other products."""
        rows, columns = (_Window.of(step, axis) for axis in (0, 1))
        return cls(
            (rows.kernel, columns.kernel),
            (rows.start(axes[0]), columns.start(axes[1])),
            (rows.spacing(axes[0]), columns.spacing(axes[1])),
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
