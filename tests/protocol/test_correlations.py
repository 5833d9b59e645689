"""The two instances of silent transfer between two processes: what they cost, and that their material serves."""

from __future__ import annotations

import numpy as np
import pytest
from correlation_steps import TINY, WIDTHS, exchanges_taken, set_up

from smule_crypten.comparison.cost import relu_cost
from smule_crypten.inference.two_party.correlations import Job
from smule_crypten.inference.two_party.renewals import further_iterations
from smule_crypten.inference.two_party.set_up import set_up_cost
from smule_crypten.oblivious.parameters import STANDARD
from smule_crypten.testing import PartyPool

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
