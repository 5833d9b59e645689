from __future__ import annotations

import torch
from known_samples import NOTHING, KnownSamples

from smule_crypten.config.exchange import QueriesConfig
from smule_crypten.data.images import UNKNOWN, LabelledImages
from smule_crypten.mutual_learning.queries import MOST_EVIDENCE, OnceEach, QueryPlan


def samples(first: int, count: int, label: int) -> LabelledImages:
    ids = torch.arange(first, first + count)
    return LabelledImages(torch.zeros(count, 1, 1, 1), torch.full((count,), label), ids)


NONE = samples(0, 0, UNKNOWN)


def test_without_a_pool_only_labelled_samples_are_asked_about() -> None:
    """As many as are wanted, or all."""
    plan = QueryPlan(samples(0, 10, 1), samples(100, 0, UNKNOWN), NONE, QueriesConfig(known_fraction=0.1), seed=0)
    assert (plan.count(4), plan.count(None), plan.count(99)) == (4, 10, 10)
    assert set(plan.next(None, NOTHING).sample_ids.tolist()) == set(range(10))


def test_a_pool_gets_all_but_the_known_fraction() -> None:
    """Every sample of the pool is asked about once before any is asked again; count says what next returns."""
    plan = QueryPlan(samples(0, 10, 1), samples(100, 20, UNKNOWN), NONE, QueriesConfig(known_fraction=0.2), seed=0)
    asked = [plan.next(5, NOTHING).sample_ids for _ in range(5)]
    assert all(len(ids) == plan.count(5) == 5 for ids in asked)
    assert [int((ids < 100).sum()) for ids in asked] == [1] * 5
    from_pool = torch.cat(asked)
    assert len(set(from_pool[from_pool >= 100].tolist())) == 20


def test_a_small_pool_is_asked_as_a_whole() -> None:
    """Counts stay right where there is less than is wanted."""
    plan = QueryPlan(samples(0, 10, 1), samples(100, 3, UNKNOWN), NONE, QueriesConfig(known_fraction=0.5), seed=0)
    assert plan.count(20) == len(plan.next(20, NOTHING).sample_ids) == 10 + 3
    assert plan.count(None) == 13


def test_the_first_exchange_looks_for_evidence() -> None:
    """Half of its queries go to held-out samples, later ones only the known fraction, none to other known labels."""
    held_out = samples(50, 8, 1)
    for pool in (samples(100, 20, UNKNOWN), NONE):
        plan = QueryPlan(samples(0, 30, 1), pool, held_out, QueriesConfig(known_fraction=0.1), seed=0)
        asked = [plan.next(10, NOTHING).sample_ids for _ in range(3)]
        assert [int(((ids >= 50) & (ids < 58)).sum()) for ids in asked] == [5, 1, 1]
        learned = torch.cat(asked)
        learned = learned[(learned < 50) | (learned >= 58)]
        assert bool((learned >= 100).all()) is (len(pool) > 0)


def test_evidence_is_bounded() -> None:
    """A large exchange does not spend half of itself on evidence."""
    plan = QueryPlan(samples(0, 2000, 1), NONE, samples(5000, 1000, 1), QueriesConfig(known_fraction=0.1), seed=0)
    assert int((plan.next(2000, NOTHING).sample_ids >= 5000).sum()) == MOST_EVIDENCE


def test_the_rule_chooses_what_is_learned_from() -> None:
    """What judges the peer is chosen uniformly: a rule that prefers some samples would distort that."""
    config = QueriesConfig(selection="loss", known_fraction=0.4)
    knowledge = KnownSamples(labels=[0] * 10 + [UNKNOWN] * 10, logits=[[-float(i % 10), 0.0] for i in range(20)])
    labelled, pool = samples(0, 10, 0), samples(10, 10, UNKNOWN)
    without_pool = QueryPlan(labelled, NONE, NONE, config, seed=0).next(3, knowledge).sample_ids
    assert set(without_pool.tolist()) == {7, 8, 9}
    asked = QueryPlan(labelled, pool, NONE, config, seed=0).next(5, knowledge).sample_ids
    assert set(asked[2:].tolist()) == {10, 11, 12}
    uniform = QueryPlan(labelled, pool, NONE, QueriesConfig(known_fraction=0.4), seed=0).next(5, NOTHING).sample_ids
    assert torch.equal(asked[:2], uniform[:2])


def test_views_are_of_what_is_learned_from() -> None:
    """Of the pool or, without one, of labelled samples; what judges the peer is asked about as it is."""
    config = QueriesConfig(view="mixup", known_fraction=0.2)
    labelled, pool, held_out = samples(0, 10, 0), samples(100, 10, UNKNOWN), samples(50, 8, 0)
    for given_pool, given_held_out in ((pool, NONE), (NONE, NONE), (pool, held_out), (NONE, held_out)):
        plan = QueryPlan(labelled, given_pool, given_held_out, config, seed=0)
        known, learned = (
            given_held_out if len(given_held_out) else labelled,
            given_pool if len(given_pool) else labelled,
        )
        plan.next(5, NOTHING)
        question = plan.next(5, NOTHING)
        assert (len(question.sample_ids), question.num_views) == (5, 4)
        assert set(question.sample_ids[:1].tolist()) <= set(known.sample_ids_N.tolist())
        assert set(question.sample_ids[1:].tolist()) <= set(learned.sample_ids_N.tolist())
    assert QueryPlan(labelled, pool, NONE, QueriesConfig(), seed=0).next(5, NOTHING).num_views == 0


def test_it_goes_on_where_it_was_saved() -> None:
    """The same choices as without an interruption."""
    plans = [
        QueryPlan(samples(0, 10, 1), samples(100, 9, UNKNOWN), NONE, QueriesConfig(known_fraction=0.3), seed=1)
        for _ in range(2)
    ]
    plans[0].next(6, NOTHING)
    plans[1].load_state_dict(plans[0].state_dict())
    assert torch.equal(plans[0].next(6, NOTHING).sample_ids, plans[1].next(6, NOTHING).sample_ids)


def test_once_each_in_order() -> None:
    """Parts of a question, the last one smaller, then nothing."""
    queries = OnceEach(torch.arange(5))
    counts, parts = [], []
    for _ in range(4):
        counts.append(queries.count(2))
        parts.append(queries.next(2, NOTHING).sample_ids.tolist())
    assert parts == [[0, 1], [2, 3], [4], []]
    assert counts == [2, 2, 1, 0]
    assert OnceEach(torch.arange(5)).next(None, NOTHING).sample_ids.tolist() == [0, 1, 2, 3, 4]
    later = OnceEach(torch.arange(9))
    later.next(6, NOTHING)
    queries.load_state_dict(later.state_dict())
    assert queries.next(None, NOTHING).sample_ids.tolist() == [6, 7, 8]
