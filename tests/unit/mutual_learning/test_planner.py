from __future__ import annotations

import dataclasses
import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.public_pool import PublicPoolConfig
from smule_crypten.errors import ConfigError
from smule_crypten.mutual_learning.planner import CONTROL_BYTES, Prices, plan, public_queries
from smule_crypten.types import Cost, DirectionCost

QUERY, DEALT = 1000, 2000


SET_UP = 7000
STEP, STEP_BYTES = 20, 30_000
"""A scheme that goes ahead in steps sends so many bytes before every so many queries, those of both together."""


def prices_of(price_of_a: int = 1, price_of_b: int = 1, dealt: bool = True, goes_ahead: bool = False) -> Prices:
    """A query costs QUERY bytes on the link and DEALT from the dealer, times the price of who answers."""

    prices = {"a": price_of_a, "b": price_of_b}

    def cost_of(architecture: str, num_samples: int, config: object, *, dealt: bool) -> DirectionCost:
        count = prices[architecture] * num_samples
        cost = Cost(bytes_sent=QUERY * count, dealer_bytes=DEALT * count if dealt else 0)
        return DirectionCost(model_owner=cost, data_owner=Cost(bytes_received=QUERY * count))

    def most_ahead(architectures: object, counts: tuple[int, int], config: object) -> Cost:
        return Cost(bytes_sent=STEP_BYTES * math.ceil(sum(counts) / STEP) if goes_ahead else 0)

    def all_ahead(architectures: object, exchanges: list[tuple[int, int]], config: object) -> Cost:
        return most_ahead(architectures, (sum(map(sum, exchanges)), 0), config)

    scheme: Any = SimpleNamespace(
        cost_of=cost_of,
        combine=lambda asking, answering: asking + answering,
        most_ahead=most_ahead,
        all_ahead=all_ahead,
        set_up_cost=lambda: (
            Cost(rounds=4, bytes_sent=SET_UP // 2, bytes_received=SET_UP // 2) if goes_ahead else Cost()
        ),
    )
    architectures: Any = ("a", "b")
    config: Any = None
    return Prices(scheme=scheme, config=config, architectures=architectures, dealt=dealt)


def test_public_answers_are_in_the_budget_to_the_byte() -> None:
    """4 bytes a logit; each party sends what the other one asked about. What they take is missing for other queries."""
    architectures: Any = tuple(SimpleNamespace(output_shape=(10,)) for _ in range(2))
    scheme: Any = SimpleNamespace(
        cost_of=lambda architecture, num_samples, config, dealt: DirectionCost(
            model_owner=Cost(bytes_sent=QUERY * num_samples), data_owner=Cost(bytes_received=QUERY * num_samples)
        ),
        most_ahead=lambda architectures, counts, config: Cost(),
        all_ahead=lambda architectures, exchanges, config: Cost(),
        set_up_cost=Cost,
    )
    config: Any = None
    plain = Prices(scheme=scheme, config=config, architectures=architectures, dealt=False)
    prices = dataclasses.replace(plain, public=(30, 20))
    assert prices.public_cost(0, (30, 20)) == Cost(rounds=1, bytes_sent=20 * 40, bytes_received=30 * 40)
    assert prices.public_cost(1, (30, 20)) == Cost(rounds=1, bytes_sent=30 * 40, bytes_received=20 * 40)
    assert prices.public_cost(1, (0, 0)) == Cost()
    assert prices.cost_of_both((3, 3)) - plain.cost_of_both((3, 3)) == 50 * 40
    exchange = ExchangeConfig(warmup_epochs=1, num_queries=None, budget_mb=0.02)
    found = plan(plain, exchange, 4).num_queries, plan(prices, exchange, 4).num_queries
    assert [sum(queries or ()) for queries in found] == [15, 13]
    assert public_queries(PublicPoolConfig(name="npz", num_queries=10), ExchangeConfig(share_a=1.0)) == (20, 0)


def queries(dealt: bool = True, epochs: int = 4, **settings: Any) -> tuple[int, int] | None:
    return plan(prices_of(dealt=dealt), ExchangeConfig(warmup_epochs=1, **settings), epochs).num_queries


def test_without_a_budget_num_queries_decides() -> None:
    """Null stands for no limit."""
    assert queries(num_queries=7) == (7, 7)
    assert queries(num_queries=None) is None


@pytest.mark.parametrize("megabytes", [0.05, 0.4, 1.0, 7.3])
@pytest.mark.parametrize("share_a", [0.0, 0.3, 0.5, 1.0])
def test_the_budget_is_used_up_and_never_exceeded(megabytes: float, share_a: float) -> None:
    """One query more of either party would cost more than there is."""
    available = megabytes * 10**6
    found = queries(budget_mb=megabytes, share_a=share_a, num_queries=None)
    assert found is not None
    a_query = QUERY + DEALT
    assert CONTROL_BYTES + sum(found) * a_query <= available < CONTROL_BYTES + (sum(found) + 1) * a_query
    assert found[0] == pytest.approx(share_a * sum(found), abs=0.5)


def test_each_direction_has_its_own_price() -> None:
    """What party a asks, party b's network answers: at five times the cost, the same budget pays for fewer queries."""
    made = prices_of(price_of_b=5)
    for share_a, price in ((0.0, 1), (1.0, 5)):
        config = ExchangeConfig(num_queries=None, warmup_epochs=0, budget_mb=1.0, share_a=share_a)
        found = plan(made, config, 1)
        assert found.num_queries is not None
        assert found.num_queries[share_a == 0.0] == (10**6 - CONTROL_BYTES) // (price * (QUERY + DEALT))
        assert found.num_queries[share_a == 1.0] == 0
        assert found.exchange_bytes == CONTROL_BYTES + price * (QUERY + DEALT) * sum(found.num_queries)


@pytest.mark.parametrize("megabytes", [0.1, 0.35, 1.0])
def test_what_goes_ahead_is_in_the_budget_of_each_exchange(megabytes: float) -> None:
    """Whatever the exchanges before took of a step, none costs more than the budget; the run as a whole is known
    exactly, and what comes once is said apart."""
    prices, config = prices_of(goes_ahead=True), ExchangeConfig(num_queries=None, warmup_epochs=0, budget_mb=megabytes)
    found = plan(prices, config, 30)
    assert found.num_queries is not None
    each = CONTROL_BYTES + sum(found.num_queries) * (QUERY + DEALT)
    steps = [math.ceil(number * sum(found.num_queries) / STEP) for number in range(found.num_exchanges + 1)]
    costs = [each + STEP_BYTES * (after - before) for before, after in itertools.pairwise(steps)]
    assert found.exchange_bytes is not None
    assert max(costs) <= found.exchange_bytes <= megabytes * 10**6
    assert (found.set_up_bytes, found.run_bytes) == (SET_UP, SET_UP + sum(costs))
    assert prices.cost(0, (2, 3)).bytes_sent - prices.cost(1, (2, 3)).bytes_sent == STEP_BYTES + QUERY


def test_a_joint_head_is_paid_by_the_budget_of_all_exchanges_first() -> None:
    """What it takes is missing for questions, an equal part in each exchange; a budget that it uses up is refused."""
    exchange = ExchangeConfig(warmup_epochs=1, every=1, num_queries=None, budget_mb=0.1)
    without, found = (plan(prices_of(), exchange, 4, head_bytes) for head_bytes in (0, 90_000))
    assert found.num_exchanges == 3
    assert (sum(without.num_queries or ()), sum(found.num_queries or ())) == (31, 21)
    assert found.run_bytes is not None
    assert found.exchange_bytes is not None
    assert (found.head_bytes, found.run_bytes) == (90_000, 90_000 + 3 * found.exchange_bytes)
    assert found.run_bytes <= 3 * 100_000
    with pytest.raises(
        ConfigError, match=r"beside its part of the joint head, 0\.100; the smallest that does is 0\.108"
    ):
        plan(prices_of(), exchange, 4, 300_000)


def test_the_tighter_of_both_limits_binds() -> None:
    """A budget does not raise num_queries."""
    assert queries(budget_mb=1.0, num_queries=5) == (5, 5)
    assert queries(budget_mb=1.0, num_queries=5, share_a=1.0) == (10, 0)


def test_a_budget_too_small_for_a_query_says_what_would_do() -> None:
    """The number that it names works, and one byte less does not."""
    with pytest.raises(ConfigError, match=r"does not pay for one query.*the smallest that does is (0\.\d+)") as caught:
        queries(budget_mb=0.002)
    smallest = float(str(caught.value).rsplit(" ", 1)[1])
    assert queries(budget_mb=smallest) == (1, 0)


def test_a_share_of_everything() -> None:
    """A share of no number of queries would do nothing."""
    with pytest.raises(ValueError, match="set num_queries or budget_mb"):
        ExchangeConfig(share_a=0.7, num_queries=None)
