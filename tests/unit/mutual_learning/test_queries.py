from __future__ import annotations

import torch

from smule_crypten.data.samples import UNKNOWN, Samples
from smule_crypten.mutual_learning.queries import MOST_EVIDENCE, QueryPlan


def samples(first: int, count: int, label: int) -> Samples:
    ids = torch.arange(first, first + count)
    return Samples(torch.zeros(count, 1, 1, 1), torch.full((count,), label), ids)


NONE = samples(0, 0, UNKNOWN)


def test_without_a_pool_only_labelled_samples_are_asked_about() -> None:
    """As many as are wanted, or all."""
    plan = QueryPlan(samples(0, 10, 1), samples(100, 0, UNKNOWN), NONE, 0.1, seed=0)
    assert (plan.count(4), plan.count(None), plan.count(99)) == (4, 10, 10)
    assert set(plan.next(None).tolist()) == set(range(10))


def test_a_pool_gets_all_but_the_known_fraction() -> None:
    """Every sample of the pool is asked about once before any is asked again; count says what next returns."""
    plan = QueryPlan(samples(0, 10, 1), samples(100, 20, UNKNOWN), NONE, 0.2, seed=0)
    asked = [plan.next(5) for _ in range(5)]
    assert all(len(ids) == plan.count(5) == 5 for ids in asked)
    assert [int((ids < 100).sum()) for ids in asked] == [1] * 5
    from_pool = torch.cat(asked)
    assert len(set(from_pool[from_pool >= 100].tolist())) == 20


def test_a_small_pool_is_asked_as_a_whole() -> None:
    """Counts stay right where there is less than is wanted."""
    plan = QueryPlan(samples(0, 10, 1), samples(100, 3, UNKNOWN), NONE, 0.5, seed=0)
    assert plan.count(20) == len(plan.next(20)) == 10 + 3
    assert plan.count(None) == 13


def test_the_first_exchange_looks_for_evidence() -> None:
    """Half of its queries go to held-out samples, later ones only the known fraction, none to other known labels."""
    held_out = samples(50, 8, 1)
    for pool in (samples(100, 20, UNKNOWN), NONE):
        plan = QueryPlan(samples(0, 30, 1), pool, held_out, 0.1, seed=0)
        asked = [plan.next(10) for _ in range(3)]
        assert [int(((ids >= 50) & (ids < 58)).sum()) for ids in asked] == [5, 1, 1]
        learned = torch.cat(asked)
        learned = learned[(learned < 50) | (learned >= 58)]
        assert bool((learned >= 100).all()) is (len(pool) > 0)


def test_evidence_is_bounded() -> None:
    """A large exchange does not spend half of itself on evidence."""
    plan = QueryPlan(samples(0, 2000, 1), NONE, samples(5000, 1000, 1), 0.1, seed=0)
    assert int((plan.next(2000) >= 5000).sum()) == MOST_EVIDENCE


def test_it_goes_on_where_it_was_saved() -> None:
    """The same choices as without an interruption."""
    plans = [QueryPlan(samples(0, 10, 1), samples(100, 9, UNKNOWN), NONE, 0.3, seed=1) for _ in range(2)]
    plans[0].next(6)
    plans[1].load_state_dict(plans[0].state_dict())
    assert torch.equal(plans[0].next(6), plans[1].next(6))
