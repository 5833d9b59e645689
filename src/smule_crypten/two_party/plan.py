"""What both parties know of one direction before anything runs: how each value is held, and how each opening is done.

A value of the program is a pair of int64 shares, right modulo 2^(ring + below): below is how many bits its shares keep
below a unit. Of the network's input that is none, of a product what the lattice has, of what was rounded the guard bits
t. D's share of a product is known before the images of a micro-batch are looked at (lattice/handover.py), and so is all
that it makes of it alone; what a ReLU has given it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from smule_crypten.comparison.widths import Widths
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import UnshareableModelError
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.program import Opening, Program, Step
from smule_crypten.lattice.packing_plan import plan_lattice
from smule_crypten.lattice.parameters import GUARD_BITS
from smule_crypten.lattice.plan import Plan
from smule_crypten.models.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One opening of the program as the two parties do it: a rounding, then a ReLU (comparison/relu.py).

    Attributes:
        position: of its step.
        below: bits below a unit of the shares that come in.
        guard_bits: bits below a unit that D's rounded share keeps, and both shares of the result.
        is_known: whether D knows its share before the images. Where it does not, D's rounded share gets a fresh mask
            (comparison/remask.py).
    """

    position: int
    step: Step
    opening: Opening
    below: int
    guard_bits: int
    is_known: bool

    @property
    def source_bits(self) -> int:
        """Of the shares that come in, as far as they count."""
        return self.opening.source_bits + self.below

    @property
    def widths(self) -> Widths:
        """Of the shares once they are rounded, and of the ReLU."""
        opening = self.opening
        return Widths(opening.width, self.guard_bits, max(opening.ring, opening.width))


@dataclass(frozen=True)
class DirectionPlan:
    """batches: sizes of the micro-batches. below: of the value at each position. is_known: whether D's share of it is.

    activations: in the order of evaluation.
    """

    program: Program
    lattice: Plan
    batches: tuple[int, ...]
    below: tuple[int, ...]
    is_known: tuple[bool, ...]
    activations: tuple[Activation, ...]

    @property
    def output_bits(self) -> int:
        """Of a logit as M sends it: its ring, and guard bits."""
        return self.program.output.ring + self.output_guard_bits

    @property
    def output_guard_bits(self) -> int:
        return min(self.below[-1], self.lattice.guard_bits)

    def hand_overs_at(self, position: int) -> list[int]:
        """Numbers of what D sends of the value there; products whose windows lie alike share one."""
        return [number for number, one in enumerate(self.lattice.hand_overs) if one.position == position]


def plan_direction(
    architecture: Architecture, batches: Sequence[int], config: SchemeConfig, *, guard_bits: int = GUARD_BITS
) -> DirectionPlan:
    """The plan for the network of one party, and micro-batches of these sizes, the first one the largest.

    Args:
        guard_bits: t; others than the scheme's for measurements alone.

    Raises:
        ConfigError, UnshareableModelError: as `lower` and `plan_lattice`.
    """
    images, count = (batches[0], len(batches)) if batches else (1, 1)
    planned = _planned(architecture, images, count, config.model_dump_json(), guard_bits)
    return replace(planned, batches=tuple(batches))


@lru_cache(maxsize=64)
def _planned(
    architecture: Architecture, images: int, micro_batches: int, scheme: str, guard_bits: int
) -> DirectionPlan:
    """Planners ask for the same one again and again. scheme: its configuration as JSON."""
    program = lower(architecture, SchemeConfig.model_validate_json(scheme))
    lattice = plan_lattice(program, images, micro_batches, guard_bits=guard_bits)
    below: list[int] = []
    is_known: list[bool] = []
    activations: list[Activation] = []
    for position, step in enumerate(program.steps):
        kept = _guard_bits(program, step, below, guard_bits)
        for opening in step.openings:
            source = step.inputs[0]
            known = step.kind != "max" and is_known[source]
            activations.append(
                Activation(
                    position=position,
                    step=step,
                    opening=opening,
                    below=below[source],
                    guard_bits=kept,
                    is_known=known,
                )
            )
        below.append(_below(program, lattice, step, below, kept))
        is_known.append(_is_known(step, is_known))
    _check_room(program, lattice, below)
    return DirectionPlan(program, lattice, (), tuple(below), tuple(is_known), tuple(activations))


def _guard_bits(program: Program, step: Step, below: Sequence[int], guard_bits: int) -> int:
    """What its openings keep below a unit: all there is where nothing is rounded."""
    if not step.openings:
        return 0
    source = step.inputs[0]
    fraction = max(opening.fraction for opening in step.openings)
    return min(guard_bits, below[source] + fraction) if fraction else below[source]


def _below(program: Program, lattice: Plan, step: Step, below: Sequence[int], guard_bits: int) -> int:
    match step.kind:
        case "input":
            return 0
        case "product":
            return lattice.lattice.modulus_bits - program.steps[step.inputs[0]].ring
        case "relu" | "truncate":
            return guard_bits
        case "add":
            return max(0, *(below[source] - shift for source, shift in zip(step.inputs, step.shifts, strict=True)))
        case _:
            return below[step.inputs[0]]


def _is_known(step: Step, is_known: Sequence[bool]) -> bool:
    match step.kind:
        case "product":
            return True
        case "sum" | "weight" | "add" | "flatten":
            return all(is_known[source] for source in step.inputs)
        case _:
            return False


def _check_room(program: Program, lattice: Plan, below: Sequence[int]) -> None:
    for hand_over in lattice.hand_overs:
        if hand_over.fraction < below[hand_over.position]:
            raise UnshareableModelError(
                f"layer {hand_over.name}",
                f"its input takes {hand_over.ring} bits and {below[hand_over.position]} below a unit, more than the "
                f"{lattice.lattice.modulus_bits} of the lattice",
                "lower scheme.options.ring_bits, or use scheme=lean or scheme=crypten",
            )
    widest = max((step.ring + bits for step, bits in zip(program.steps, below, strict=True)), default=0)
    if widest > 64:
        step = next(s for s, bits in zip(program.steps, below, strict=True) if s.ring + bits == widest)
        raise UnshareableModelError(
            f"layer {step.name}", f"its values need {widest} bits", "lower scheme.options.ring_bits"
        )
