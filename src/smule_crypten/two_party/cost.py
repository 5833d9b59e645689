"""What a direction costs, exactly, from its plan alone. Set-up and main iterations apart: correlations.py."""

from __future__ import annotations

from collections.abc import Iterator

from smule_crypten.comparison.cost import relu_cost
from smule_crypten.comparison.remask import remask_bytes
from smule_crypten.fixed_point.messages import Message, cost_of_messages
from smule_crypten.mpc.packing import packed_bytes
from smule_crypten.two_party.plan import DirectionPlan
from smule_crypten.types import DirectionCost


def direction_cost(plan: DirectionPlan) -> DirectionCost:
    """Rounds and bytes of one direction. A round is all that one side sends before it waits."""
    return cost_of_messages(_messages(plan))


def _messages(plan: DirectionPlan) -> Iterator[Message]:
    if plan.batches:
        yield True, 1 + plan.lattice.weight_bytes
    for batch in plan.batches:
        yield False, _prepared_bytes(plan, batch)
        for position in range(len(plan.program.steps)):
            for number in plan.hand_overs_at(position):
                one = plan.lattice.hand_overs[number]
                yield False, packed_bytes(one.online_values(batch), one.value_bits)
            yield from _activation_messages(plan, position, batch)
        yield True, packed_bytes(batch * plan.program.output.elements, plan.output_bits)


def _prepared_bytes(plan: DirectionPlan, batch: int) -> int:
    """What D sends of a micro-batch before its images are looked at."""
    relus = (relu_cost(batch * one.opening.elements, one.widths) for one in plan.activations)
    lattice = plan.lattice
    return lattice.p_bytes(batch) + lattice.prepared_bytes(batch) + sum(relu.prepared_bytes for relu in relus)


def _activation_messages(plan: DirectionPlan, position: int, batch: int) -> Iterator[Message]:
    for one in plan.activations:
        if one.position != position:
            continue
        count = batch * one.opening.elements
        if not one.is_known:
            yield False, remask_bytes(one.widths, count)
        for turn in relu_cost(count, one.widths).online:
            yield turn.by_model_owner, turn.num_bytes
