"""How many queries a budget in megabytes pays for, before anything runs.

Both parties know both architectures, so both come to the same plan; the bytes are exact (`cost_of`), not estimates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from smule_crypten.config import ExchangeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.exchange.schedule import is_exchange_epoch
from smule_crypten.inference.scheme import SecureInferenceScheme

CONTROL_BYTES = 4096
"""Set aside in each exchange for announcements and keys, which take some 1,000 bytes of both parties together."""
_MEGABYTE = 10**6


@dataclass(frozen=True, kw_only=True)
class Plan:
    """num_queries: the most that each party asks in an exchange, None without a limit. exchange_bytes: what an
    exchange of so many queries costs both parties together, None where num_queries is None."""

    num_exchanges: int
    num_queries: int | None
    exchange_bytes: int | None


def plan(scheme: SecureInferenceScheme, config: ExchangeConfig, num_epochs: int, *, dealt: bool) -> Plan:
    """The largest number of queries for each party and exchange that config allows.

    Raises:
        ConfigError: the budget does not pay for one query of each party; says what would.
    """
    num_exchanges = sum(is_exchange_epoch(epoch, config, num_epochs) for epoch in range(1, num_epochs + 1))

    def cost(num_queries: int) -> int:
        return _exchange_bytes(scheme, num_queries, dealt, config.budget_counts == "all")

    num_queries = config.num_queries
    if config.budget_mb is not None:
        parts = num_exchanges if config.budget_scope == "run" else 1
        available = int(config.budget_mb * _MEGABYTE) // parts
        if cost(1) > available:
            smallest = parts * cost(1) / _MEGABYTE
            raise ConfigError(
                f"exchange.budget_mb={config.budget_mb:g} does not pay for one query of each party in "
                f"{num_exchanges} exchange(s); the smallest that does is {smallest + 0.0005:.3f}"
            )
        num_queries = _largest(cost, available, num_queries)
    return Plan(
        num_exchanges=num_exchanges,
        num_queries=num_queries,
        exchange_bytes=None if num_queries is None else cost(num_queries),
    )


def _largest(cost: Callable[[int], int], available: int, limit: int | None) -> int:
    """The largest count, at most limit, whose cost is available; cost(1) is. Costs grow with the count."""
    low, high = 1, 2
    while (limit is None or high <= limit) and cost(high) <= available:
        low, high = high, 2 * high
    high = high if limit is None else min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= available else (low, middle)
    return low


def _exchange_bytes(scheme: SecureInferenceScheme, num_queries: int, dealt: bool, with_dealer: bool) -> int:
    """Of both directions and both parties, when each asks num_queries."""
    total = CONTROL_BYTES
    for architecture in scheme.architectures:
        cost = scheme.cost_of(architecture, num_queries, scheme.config, dealt=dealt)
        total += cost.model_owner.bytes_total
        if with_dealer:
            total += cost.model_owner.dealer_bytes + cost.data_owner.dealer_bytes
    return total
