"""What a solve costs, exactly, from its plan alone."""

from __future__ import annotations

from smule_crypten.joint_head.dealing import RING
from smule_crypten.joint_head.plan import Attempt, SolvePlan
from smule_crypten.types import Cost

_NUMBER_BYTES = RING // 8


def solve_cost(plan: SolvePlan, attempts: int = 1) -> tuple[Cost, Cost]:
    """Of P and of Q, if so many attempts are needed; a second one is needed only where the bound was too small."""
    total = _matrices(plan)
    for attempt in plan.attempts[:attempts]:
        one = _attempt(plan, attempt)
        total = total[0] + one[0], total[1] + one[1]
    return total


def _matrices(plan: SolvePlan) -> tuple[Cost, Cost]:
    """Steps 1 and 2."""
    product = plan.features * plan.outputs * _NUMBER_BYTES
    by_P = (plan.triangle + plan.probes * plan.features) * _NUMBER_BYTES
    by_Q = plan.triangle * _NUMBER_BYTES + product
    return (
        Cost(rounds=1, bytes_sent=by_P, bytes_received=by_Q, dealer_bytes=product),
        Cost(rounds=1, bytes_sent=by_Q, bytes_received=by_P),
    )


def _attempt(plan: SolvePlan, attempt: Attempt) -> tuple[Cost, Cost]:
    """Steps 3 to 7: what Q sends in step 6 goes with the last message of step 5."""
    product = plan.features * plan.outputs * _NUMBER_BYTES
    opened = plan.probes * _NUMBER_BYTES
    products = attempt.iterations * product
    by_P, by_Q = products + opened, products + product + opened
    rounds = 2 * attempt.iterations + 1
    return (
        Cost(rounds=rounds, bytes_sent=by_P, bytes_received=by_Q, dealer_bytes=products + opened * plan.outputs),
        Cost(rounds=rounds, bytes_sent=by_Q, bytes_received=by_P, dealer_bytes=products),
    )
