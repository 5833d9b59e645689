"""What a direction costs, exactly, from the public program alone."""

from __future__ import annotations

from collections.abc import Iterator

from smule_crypten.fixed_point.messages import Message, cost_of_messages
from smule_crypten.fixed_point.program import Opening, Program
from smule_crypten.inference.lean.and_tree import level_operands, tree_shape
from smule_crypten.inference.lean.dealing import dealt_fields, fields_bytes, product_fields
from smule_crypten.models.architecture import num_elements
from smule_crypten.mpc.packing import packed_bytes
from smule_crypten.types import DirectionCost


def direction_cost(program: Program, batches: list[int]) -> DirectionCost:
    """Rounds and bytes for micro-batches of these sizes. A round is all that one side sends before it waits."""
    return cost_of_messages(_messages(program, batches), sum(_dealer_bytes(program, batch) for batch in batches))


def weight_bytes(program: Program) -> int:
    """What M sends once for all micro-batches: the output's scale and the masked weights."""
    return 1 + sum(packed_bytes(num_elements(step.weighted.weight_shape), step.ring) for step in program.products)


def _messages(program: Program, batches: list[int]) -> Iterator[Message]:
    if batches:
        yield True, weight_bytes(program)
    for batch in batches:
        for step in program.steps:
            if step.kind == "mask":
                yield False, packed_bytes(batch * step.elements, step.ring)
            for opening in step.openings:
                yield from _opening_messages(opening, batch)
        output = program.output
        yield True, packed_bytes(batch * output.elements, output.ring)


def _opening_messages(opening: Opening, batch: int) -> Iterator[Message]:
    count = batch * opening.elements
    yield False, packed_bytes(count, opening.source_bits)
    yield True, packed_bytes(count, opening.width)
    levels = tree_shape(len(opening.blocks))
    sizes = [packed_bytes(count, 1) * level_operands(level) for level in levels]
    sizes.append(packed_bytes(count, 1))
    for number, size in enumerate(sizes, start=1):
        model_owner_first = number % 2 == 1
        yield model_owner_first, size
        yield not model_owner_first, size


def _dealer_bytes(program: Program, batch: int) -> int:
    total = 0
    for step in program.steps:
        if step.kind == "product":
            total += fields_bytes(product_fields(step, batch))
        total += sum(fields_bytes(dealt_fields(opening, batch)) for opening in step.openings)
    return total
