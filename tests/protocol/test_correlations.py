"""The two instances of silent transfer between two processes: what they cost, and that their material serves."""

from __future__ import annotations

import numpy as np
import pytest
from correlation_steps import TINY, WIDTHS, exchanges_of_scheme, exchanges_taken, set_up
from steps import wire_counts

from smule_crypten.comparison.cost import relu_cost
from smule_crypten.oblivious.parameters import STANDARD
from smule_crypten.testing import PartyPool
from smule_crypten.two_party.correlations import Job
from smule_crypten.two_party.renewals import all_ahead, further_iterations, most_ahead
from smule_crypten.two_party.set_up import set_up_cost
from smule_crypten.types import Cost

EXCHANGES = [
    [Job(0, WIDTHS, 40), Job(1, WIDTHS, 7), Job(0, WIDTHS, 300)],
    [],
    [Job(1, WIDTHS, 500)],
    [Job(1, WIDTHS, 1), Job(0, WIDTHS, 64)],
]


@pytest.mark.parametrize("slices", [(0, 0), (400, 0), (3, 50)], ids=["waiting", "one_ahead", "both_ahead"])
def test_material_of_several_exchanges(pool: PartyPool, slices: tuple[int, int]) -> None:
    """Whoever works ahead, and how far: ReLUs of all the material are right, JSON passes between, and what was sent
    ahead is exactly what the transfers of both instances take."""
    values = np.random.default_rng(5).integers(-(1 << 16), 1 << 16, 500)
    first, second = pool.run(exchanges_taken, EXCHANGES, values.astype(np.uint64), slices)
    jobs = [job for exchange in EXCHANGES for job in exchange]
    for job, one, other in zip(jobs, first.shares, second.shares, strict=True):
        unit = 1 << WIDTHS.guard_bits
        total = (one + other) & np.uint64((1 << WIDTHS.ring + WIDTHS.guard_bits) - 1)
        assert total.tolist() == (np.maximum(values[: job.count], 0) * unit).tolist()
    needed = [0, 0]
    for job in jobs:
        transfers = relu_cost(job.count, job.widths).transfers
        needed[job.model_owner] += transfers.model_owner
        needed[1 - job.model_owner] += transfers.data_owner
    sent = [further_iterations(count, TINY) * TINY.main.message_bytes for count in needed]
    assert min(sent) > 0
    for rank, taken in enumerate((first, second)):
        counted = taken.traffic["correlations"]
        assert (counted["bytes_sent"], counted["bytes_received"]) == (sent[rank], sent[1 - rank])
        assert counted["rounds"] == 0


def test_set_up_costs_what_is_said(pool: PartyPool) -> None:
    expected = set_up_cost(STANDARD)
    for counted in pool.run(set_up):
        assert counted == {
            "rounds": expected.rounds,
            "bytes_sent": expected.bytes_sent,
            "bytes_received": expected.bytes_received,
            "dealer_bytes": 0,
        }


def test_exchanges_of_the_scheme_cost_what_is_said(pool: PartyPool) -> None:
    """An exchange itself is exactly `cost_of`, whatever was done ahead of it; over the run, what goes ahead is exact,
    and of no exchange is it more than is said. The jobs are those that the roles take, to the last transfer."""
    for found in pool.run(exchanges_of_scheme, [(3, 2), (0, 0), (8, 0), (1, 5), (2, 2)]):
        assert max(found.errors) < 0.02
        for measured, said in found.costs:
            assert wire_counts(measured) == wire_counts(said)
        for measured, most in found.ahead:
            assert measured.rounds == most.rounds == 0
            assert measured.bytes_sent <= most.bytes_sent
            assert measured.bytes_received <= most.bytes_received
        assert sum((measured for measured, _ in found.ahead), start=Cost()) == found.run_ahead
        assert min(found.run_ahead.bytes_sent, found.run_ahead.bytes_received) > 0
        assert found.taken[0] == found.taken[1]
        assert found.left == 0


@pytest.mark.parametrize("transfers", [[0, 1, 831, 832, 833], [5000, 0, 1], [832, 832, 1], [1] * 900])
def test_no_exchange_has_more_ahead_than_is_said(transfers: list[int]) -> None:
    """However the exchanges before left their iterations; and all together come to what a run costs."""
    taken, sent = 0, 0
    for count in transfers:
        before, taken = further_iterations(taken, TINY), taken + count
        ahead = (further_iterations(taken, TINY) - before) * TINY.main.message_bytes
        assert ahead <= most_ahead((count, 0), TINY).bytes_sent
        sent += ahead
    assert all_ahead((0, taken), TINY).bytes_received == sent
