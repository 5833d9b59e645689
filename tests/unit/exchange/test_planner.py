from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from smule_crypten.config import ExchangeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.exchange.planner import CONTROL_BYTES, plan
from smule_crypten.types import Cost, DirectionCost

QUERY, DEALT = 1000, 2000


def scheme() -> Any:
    """A query costs QUERY bytes on the link and DEALT from the dealer."""

    def cost_of(architecture: object, num_samples: int, config: object, *, dealt: bool) -> DirectionCost:
        cost = Cost(bytes_sent=QUERY * num_samples, dealer_bytes=DEALT * num_samples if dealt else 0)
        return DirectionCost(model_owner=cost, data_owner=Cost(bytes_received=QUERY * num_samples))

    return SimpleNamespace(architectures=("a", "b"), config=None, cost_of=cost_of)


def queries(dealt: bool = True, epochs: int = 4, **settings: Any) -> int | None:
    return plan(scheme(), ExchangeConfig(warmup_epochs=1, **settings), epochs, dealt=dealt).num_queries


def test_without_a_budget_num_queries_decides() -> None:
    """Null stands for no limit."""
    assert queries(num_queries=7) == 7
    assert queries(num_queries=None) is None


@pytest.mark.parametrize("megabytes", [0.05, 0.4, 1.0, 7.3])
def test_the_budget_is_used_up_and_never_exceeded(megabytes: float) -> None:
    """One query more of each party would cost more than there is."""
    available = megabytes * 10**6
    found = queries(budget_mb=megabytes)
    assert found is not None
    a_query = 2 * (QUERY + DEALT)
    assert CONTROL_BYTES + found * a_query <= available < CONTROL_BYTES + (found + 1) * a_query


def test_what_counts_and_for_how_long() -> None:
    """Without the dealer's bytes three times as much; for the whole run, a third in each of three exchanges."""
    online, run = queries(budget_mb=1.0, budget_counts="online"), queries(budget_mb=3.0, budget_scope="run")
    assert online == (10**6 - CONTROL_BYTES) // (2 * QUERY)
    assert run == queries(budget_mb=1.0)


def test_the_tighter_of_both_limits_binds() -> None:
    """A budget does not raise num_queries."""
    assert queries(budget_mb=1.0, num_queries=5) == 5


def test_a_budget_too_small_for_a_query_says_what_would_do() -> None:
    """The number that it names works, and one byte less does not."""
    with pytest.raises(ConfigError, match=r"does not pay for one query.*the smallest that does is (0\.\d+)") as caught:
        queries(budget_mb=0.005)
    smallest = float(str(caught.value).rsplit(" ", 1)[1])
    assert queries(budget_mb=smallest) == 1
