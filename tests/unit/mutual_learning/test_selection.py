from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from known_samples import NOTHING, KnownSamples

from smule_crypten.config.exchange import ExchangeConfig, SelectionName
from smule_crypten.config.sections import parse
from smule_crypten.errors import ConfigError
from smule_crypten.mutual_learning.selection import RULES, Selection

IDS = torch.tensor([40, 7, 1000, 3, 12])


def random_knowledge(total: int, seed: int) -> KnownSamples:
    """Of total samples in three classes, half of them labelled and half of them answered."""
    generator = torch.Generator().manual_seed(seed)
    return KnownSamples(
        labels=torch.randint(-1, 3, (total,), generator=generator).tolist(),
        logits=torch.randn(total, 3, generator=generator).tolist(),
        features=torch.randn(total, 4, generator=generator).tolist(),
        answers={number: torch.randn(3, generator=generator).tolist() for number in range(0, total, 2)},
    )


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    rule=st.sampled_from(get_args(SelectionName)),
    total=st.integers(1, 12),
    counts=st.lists(st.one_of(st.none(), st.integers(0, 15)), min_size=1, max_size=12),
    seed=st.integers(0, 2**32),
)
def test_nobody_is_asked_again_before_all_were_asked(
    rule: SelectionName, total: int, counts: list[int | None], seed: int
) -> None:
    """After every query the samples were asked equally often, give or take one; no query asks a sample twice."""
    selection, knowledge = Selection(torch.arange(total), seed, rule), random_knowledge(total, seed)
    times_asked = torch.zeros(total, dtype=torch.int64)
    for count in counts:
        chosen = selection.next(count, knowledge)
        assert len(chosen) == (total if count is None else min(count, total))
        assert len(chosen.unique()) == len(chosen)
        times_asked[chosen] += 1
        assert times_asked.max() - times_asked.min() <= 1


@pytest.mark.parametrize("count", [None, 5, 6, 10**9])
def test_all_samples(count: int | None) -> None:
    """null, or more than there are, asks about every sample once, and needs no rule for that."""
    assert Selection(IDS, 0, "loss").next(count, NOTHING).sort().values.tolist() == sorted(IDS.tolist())


@pytest.mark.parametrize("rule", get_args(SelectionName))
def test_choice_follows_from_the_seed(rule: SelectionName) -> None:
    """A seeded run repeats bit for bit, whatever else draws random numbers, and goes on where it was saved."""
    knowledge = random_knowledge(100, seed=1)
    first, second, other = (Selection(torch.arange(100), seed, rule) for seed in (5, 5, 6))
    state = torch.get_rng_state()
    drawn = [first.next(30, knowledge) for _ in range(4)]
    assert torch.equal(torch.get_rng_state(), state)
    other.load_state_dict(second.state_dict())
    assert all(torch.equal(second.next(30, knowledge), ids) for ids in drawn)
    assert all(torch.equal(other.next(30, knowledge), ids) for ids in drawn)


def test_order_is_not_that_of_the_samples() -> None:
    """Asking the first samples first would ask about whichever class the data set begins with."""
    chosen = Selection(torch.arange(1000), seed=0).next(100, NOTHING)
    assert chosen.float().mean() == pytest.approx(500, abs=100)
    assert not torch.equal(chosen, Selection(torch.arange(1000), seed=1).next(100, NOTHING))


def chosen(rule: SelectionName, knowledge: KnownSamples, total: int, *counts: int) -> list[set[int]]:
    """What several queries about counts samples ask about."""
    selection = Selection(torch.arange(total), 0, rule)
    return [set(selection.next(count, knowledge).tolist()) for count in counts]


def test_highest_loss() -> None:
    """Confident and wrong first, then unsure; of unlabelled samples the entropy stands for the loss."""
    knowledge = KnownSamples(labels=[0, 0, 0, -1, -1], logits=[[9, 0], [0, 9], [1, 0], [0, 0], [9, 0]])
    assert chosen("loss", knowledge, 5, 1, 1, 1) == [{1}, {3}, {2}]


def test_highest_entropy() -> None:
    """Three classes alike before two, before one."""
    knowledge = KnownSamples(logits=[[9, 0, 0], [0, 0, 0], [9, 9, 0], [9, 8, 0]])
    assert chosen("entropy", knowledge, 4, 1, 1, 1) == [{1}, {2}, {3}]


def test_smallest_margin() -> None:
    """What the third class gets does not matter."""
    knowledge = KnownSamples(logits=[[9, 0, 0], [1, 0, 0], [9, 9, 0], [9, 8.5, 0]])
    assert chosen("margin", knowledge, 4, 1, 1, 1) == [{2}, {3}, {1}]


def test_disagreement() -> None:
    """What was never answered, then where own network and peer differ most."""
    answers = {0: [5.0, 0.0], 1: [0.0, 5.0], 2: [0.0, 0.0]}
    knowledge = KnownSamples(logits=[[5, 0]] * 4, answers=answers)
    assert chosen("disagreement", knowledge, 4, 1, 1, 1) == [{3}, {1}, {2}]
    assert len(chosen("disagreement", KnownSamples(), 4, 2)[0]) == 2


def test_class_balanced() -> None:
    """As many of each class as there are, however rare; the own prediction stands for a label that is not known."""
    labels = [0] * 30 + [1] * 3 + [-1] * 4
    logits = [[9.0, 0.0, 0.0]] * 33 + [[0.0, 0.0, 9.0]] * 4
    classes = [0] * 30 + [1] * 3 + [2] * 4
    [first] = chosen("class_balanced", KnownSamples(labels=labels, logits=logits), 37, 9)
    assert sorted(classes[sample] for sample in first) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    [more] = chosen("class_balanced", KnownSamples(labels=labels, logits=logits), 37, 15)
    assert sorted(classes[sample] for sample in more) == [0] * 8 + [1] * 3 + [2] * 4
    assert chosen("class_balanced", KnownSamples(labels=[0, 1]), 2, 1)  # all labels known: no network needed


def test_core_set() -> None:
    """One of each of four far clusters, also where the queries come one by one; a cluster of 97 is no more than one."""
    features = [[0.0 + number / 1000, 0.0] for number in range(97)] + [[100.0, 0.0], [0.0, 200.0], [-300.0, 0.0]]
    for counts in ((4,), (1, 3), (1, 1, 1, 1)):
        found = set().union(*chosen("core_set", KnownSamples(features=features), 100, *counts))
        assert found >= {97, 98, 99}
        assert len(found) == 4


def test_every_name_has_a_rule_and_unknown_ones_are_told() -> None:
    """What the configuration accepts and what there is are the same."""
    assert tuple(RULES) == get_args(SelectionName)
    with pytest.raises(ConfigError, match=r"queries\.selection: .*'uniform'.*'core_set', got 'best'"):
        parse(ExchangeConfig, {"queries": {"selection": "best"}})
