from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smule_crypten.mutual_learning.selection import Selection

IDS = torch.tensor([40, 7, 1000, 3, 12])


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    total=st.integers(1, 12),
    counts=st.lists(st.one_of(st.none(), st.integers(0, 15)), min_size=1, max_size=12),
    seed=st.integers(0, 2**32),
)
def test_nobody_is_asked_again_before_all_were_asked(total: int, counts: list[int | None], seed: int) -> None:
    """After every query the samples were asked equally often, give or take one; no query asks a sample twice."""
    selection = Selection(torch.arange(total), seed)
    times_asked = torch.zeros(total, dtype=torch.int64)
    for count in counts:
        chosen = selection.next(count)
        assert len(chosen) == (total if count is None else min(count, total))
        assert len(chosen.unique()) == len(chosen)
        times_asked[chosen] += 1
        assert times_asked.max() - times_asked.min() <= 1


@pytest.mark.parametrize("count", [None, 5, 6, 10**9])
def test_all_samples(count: int | None) -> None:
    """null, or more than there are, asks about every sample once."""
    assert Selection(IDS, 0).next(count).sort().values.tolist() == sorted(IDS.tolist())


def test_choice_follows_from_the_seed() -> None:
    """A seeded run repeats bit for bit, whatever else draws random numbers, and goes on where it was saved."""
    first, second, other = (Selection(torch.arange(100), seed) for seed in (5, 5, 6))
    state = torch.get_rng_state()
    drawn = [first.next(30) for _ in range(4)]
    assert torch.equal(torch.get_rng_state(), state)
    other.load_state_dict(second.state_dict())
    assert all(torch.equal(second.next(30), ids) for ids in drawn)
    assert all(torch.equal(other.next(30), ids) for ids in drawn)


def test_order_is_not_that_of_the_samples() -> None:
    """Asking the first samples first would ask about whichever class the data set begins with."""
    chosen = Selection(torch.arange(1000), seed=0).next(100)
    assert chosen.float().mean() == pytest.approx(500, abs=100)
    assert not torch.equal(chosen, Selection(torch.arange(1000), seed=1).next(100))
