"""What a solve costs, exactly, from its plan and the kind of its products alone."""

from __future__ import annotations

from smule_crypten.joint_head.plan import RING_BITS, Attempt, SolvePlan
from smule_crypten.joint_head.products import Products
from smule_crypten.mpc.packing import packed_bytes
from smule_crypten.types import Cost


def solve_cost(plan: SolvePlan, products: type[Products], attempts: int = 1) -> tuple[Cost, Cost]:
    """Of P and of Q, if so many attempts are needed; a second one is needed only where the bound was too small."""
    total = _first(plan, products)
    for number, attempt in enumerate(plan.attempts[:attempts]):
        one = _attempt(plan, products, attempt, is_first=number == 0)
        total = total[0] + one[0], total[1] + one[1]
    return total


def _first(plan: SolvePlan, products: type[Products]) -> tuple[Cost, Cost]:
    """Steps 1 and 2."""
    by_P = products.masked_bytes(plan, "inverse") + products.masked_bytes(plan, "probes")
    by_Q = products.masked_bytes(plan, "gram") + products.message_bytes(plan, "inverse")
    return _costs(1, by_P, by_Q, products.dealer_bytes(plan, "inverse"), 0)


def _attempt(plan: SolvePlan, products: type[Products], attempt: Attempt, *, is_first: bool) -> tuple[Cost, Cost]:
    """Steps 3 to 7: what Q sends in step 6 goes with the last message of step 5.

    A second attempt's first message goes with step 7 of the first one.
    """
    times, opened = attempt.iterations, packed_bytes(plan.probes, RING_BITS)
    by_P = times * products.message_bytes(plan, "gram") + opened
    by_Q = times * products.message_bytes(plan, "inverse") + products.message_bytes(plan, "probes") + opened
    dealt_P = times * products.dealer_bytes(plan, "inverse") + products.dealer_bytes(plan, "probes")
    return _costs(2 * times + is_first, by_P, by_Q, dealt_P, times * products.dealer_bytes(plan, "gram"))


def _costs(rounds: int, by_P: int, by_Q: int, dealt_P: int, dealt_Q: int) -> tuple[Cost, Cost]:
    return (
        Cost(rounds=rounds, bytes_sent=by_P, bytes_received=by_Q, dealer_bytes=dealt_P),
        Cost(rounds=rounds, bytes_sent=by_Q, bytes_received=by_P, dealer_bytes=dealt_Q),
    )
