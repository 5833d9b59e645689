"""An exchange in legs: so many micro-batches that the material made ahead for them stays within bounded memory.

The material of a leg is made before the leg begins: that of the first one while the parties train, that of the others
between legs. A leg has one micro-batch of each direction at least.
"""

from __future__ import annotations

from collections.abc import Sequence

from smule_crypten.two_party.correlations import Job
from smule_crypten.two_party.plan import DirectionPlan

MOST_MATERIAL_BYTES = 256 << 20
_VALUE_BYTES = 32
"""Of the material of a ReLU at either party, at most, at the widths of the default options (comparison/material.py)."""


def legs_of(plans: Sequence[DirectionPlan], most_bytes: int = MOST_MATERIAL_BYTES) -> list[range]:
    """Numbers of the micro-batches of each leg, the same for both directions.

    Args:
        plans: of the direction of party a's network and of party b's.
    """
    legs: list[range] = []
    held = 0
    for number in range(_micro_batches(plans)):
        taken = sum(_VALUE_BYTES * job.count for job in jobs_of(plans, range(number, number + 1)))
        if not legs or held + taken > most_bytes:
            legs.append(range(number, number))
            held = 0
        legs[-1] = range(legs[-1].start, number + 1)
        held += taken
    return legs


def jobs_of(plans: Sequence[DirectionPlan], leg: range | None = None) -> list[Job]:
    """What a leg takes, in the order in which both parties take it: by micro-batch, direction and opening.

    Args:
        leg: None for the whole exchange.
    """
    jobs = []
    for number in range(_micro_batches(plans)) if leg is None else leg:
        for model_owner, plan in enumerate(plans):
            for batch in plan.batches[number : number + 1]:
                jobs += [Job(model_owner, one.widths, batch * one.opening.elements) for one in plan.activations]
    return jobs


def _micro_batches(plans: Sequence[DirectionPlan]) -> int:
    return max(len(plan.batches) for plan in plans)
