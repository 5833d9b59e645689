"""How many queries a budget in megabytes pays for, before anything runs.

Both parties know both architectures, so both come to the same plan; the bytes are exact (`cost_of`), not estimates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.mutual_learning.schedule import exchange_epochs

CONTROL_BYTES = 4096
"""Set aside in each exchange for announcements and keys, which take some 1,000 bytes of both parties together."""
_MEGABYTE = 10**6

Queries = tuple[int, int]
"""The most samples that party a and party b ask about in one exchange."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """num_exchanges: the most that may take place. num_queries is None without a limit. exchange_bytes: what an
    exchange of so many queries costs both parties together, None where num_queries is None."""

    num_exchanges: int
    num_queries: Queries | None
    exchange_bytes: int | None


def plan(scheme: SecureInferenceScheme, config: ExchangeConfig, num_epochs: int, *, dealt: bool) -> Plan:
    """The largest number of queries of an exchange that config allows, divided between the parties.

    Raises:
        ConfigError: the budget does not pay for one query; says what would.
    """
    num_exchanges = len(exchange_epochs(config, num_epochs))

    def cost(total: int) -> int:
        queries = divided(total, config.share_a)
        return _exchange_bytes(scheme, queries, dealt, config.budget_counts == "all")

    total = None if config.num_queries is None else 2 * config.num_queries
    if config.budget_mb is not None:
        parts = num_exchanges if config.budget_scope == "run" else 1
        available = int(config.budget_mb * _MEGABYTE) // parts
        if cost(1) > available:
            smallest = parts * cost(1) / _MEGABYTE
            raise ConfigError(
                f"exchange.budget_mb={config.budget_mb:g} does not pay for one query in each of {num_exchanges} "
                f"exchange(s); the smallest that does is {smallest + 0.0005:.3f}"
            )
        total = _largest(cost, available, total)
    return Plan(
        num_exchanges=num_exchanges,
        num_queries=None if total is None else divided(total, config.share_a),
        exchange_bytes=None if total is None else cost(total),
    )


def divided(total: int, share_a: float) -> Queries:
    """The queries of both parties, with party a's share of them rounded to the nearest number, a half upwards."""
    of_a = math.floor(total * share_a + 0.5)
    return of_a, total - of_a


def configured_queries(config: ExchangeConfig) -> Queries | None:
    """What exchange.num_queries allows, a budget in megabytes apart."""
    return None if config.num_queries is None else divided(2 * config.num_queries, config.share_a)


def _largest(cost: Callable[[int], int], available: int, limit: int | None) -> int:
    """The largest total, at most limit, whose cost is available; cost(1) is. Costs do not fall as the total grows."""
    low, high = 1, 2
    while (limit is None or high <= limit) and cost(high) <= available:
        low, high = high, 2 * high
    high = high if limit is None else min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= available else (low, middle)
    return low


def _exchange_bytes(scheme: SecureInferenceScheme, queries: Queries, dealt: bool, with_dealer: bool) -> int:
    """Of both directions and both parties. A party's network answers the other one's queries."""
    total = CONTROL_BYTES
    for architecture, num_queries in zip(scheme.architectures, reversed(queries), strict=True):
        cost = scheme.cost_of(architecture, num_queries, scheme.config, dealt=dealt)
        total += cost.model_owner.bytes_total
        if with_dealer:
            total += cost.model_owner.dealer_bytes + cost.data_owner.dealer_bytes
    return total
