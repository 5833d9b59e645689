"""How many queries a budget in megabytes pays for, before anything runs.

Both parties know both architectures, so both come to the same plan; the bytes are exact (`cost_of`), not estimates. Of
what goes ahead of an exchange it is the most that there can be. The set-up, once before all exchanges, is in no budget;
a joint head is, and what it takes is taken off that of all exchanges together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.public_pool import PublicPoolConfig
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.architecture import Architecture
from smule_crypten.mutual_learning.schedule import exchange_epochs
from smule_crypten.types import Cost

CONTROL_BYTES = 4096
"""Set aside in each exchange for announcements and keys, which take some 1,000 bytes of both parties together."""
BYTES_A_LOGIT = 4
"""Of an answer about a public sample: float32."""
_MEGABYTE = 10**6

Queries = tuple[int, int]
"""The most samples that party a and party b ask about in one exchange."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """A scheme whose bytes and rounds are counted, and the architectures of party a and party b.

    dealt: by a dealer. public: how many public samples party a and party b ask about in an exchange, as long as some
    are left.
    """

    scheme: type[SecureInferenceScheme]
    config: SchemeConfig
    architectures: tuple[Architecture, Architecture]
    dealt: bool
    public: Queries = (0, 0)

    @classmethod
    def of(cls, scheme: SecureInferenceScheme, *, dealt: bool, public: Queries = (0, 0)) -> Prices:
        """Those of a scheme that was prepared."""
        return cls(
            scheme=type(scheme), config=scheme.config, architectures=scheme.architectures, dealt=dealt, public=public
        )

    def cost(self, rank: int, counts: Queries) -> Cost:
        """What an exchange, in which party a and party b ask about counts samples, costs the party of this rank.

        What goes ahead of it is counted as the most that it can be. Public questions come on top (public_cost).
        """
        asking, answering = (
            self.scheme.cost_of(self.architectures[owner], counts[1 - owner], self.config, dealt=self.dealt)
            for owner in (1 - rank, rank)
        )
        ahead = self.scheme.most_ahead(self.architectures, counts, self.config)
        if rank == 1:
            ahead = Cost(bytes_sent=ahead.bytes_received, bytes_received=ahead.bytes_sent)
        return self.scheme.combine(asking.data_owner, answering.model_owner) + ahead

    def public_cost(self, rank: int, counts: Queries) -> Cost:
        """What the answers about so many public samples of party a and party b cost the party of this rank: exact."""
        if not any(counts):
            return Cost()
        (num_classes,) = self.architectures[0].output_shape
        each = [BYTES_A_LOGIT * num_classes * count for count in counts]
        return Cost(rounds=1, bytes_sent=each[1 - rank], bytes_received=each[rank])

    def cost_of_both(self, counts: Queries) -> int:
        """Bytes of such an exchange at most: both parties', the dealer's, announcements, public answers."""
        ahead = self.scheme.most_ahead(self.architectures, counts, self.config)
        return self._without_ahead(counts) + ahead.bytes_total

    @property
    def set_up_bytes(self) -> int:
        """What a run costs both parties before its first exchange, beside the handshake."""
        return self.scheme.set_up_cost().bytes_total

    def run_bytes(self, counts: Queries, num_exchanges: int) -> int:
        """Bytes of a whole run of such exchanges, with what goes before and ahead of them."""
        ahead = self.scheme.all_ahead(self.architectures, [counts] * num_exchanges, self.config)
        return self.set_up_bytes + num_exchanges * self._without_ahead(counts) + ahead.bytes_total

    def _without_ahead(self, counts: Queries) -> int:
        total = CONTROL_BYTES + self.public_cost(0, self.public).bytes_total
        for architecture, num_queries in zip(self.architectures, reversed(counts), strict=True):
            cost = self.scheme.cost_of(architecture, num_queries, self.config, dealt=self.dealt)
            total += cost.model_owner.bytes_total + cost.model_owner.dealer_bytes + cost.data_owner.dealer_bytes
        return total


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is asked, and when.

    Attributes:
        num_exchanges: in the whole run.
        num_queries: None without a limit.
        exchange_bytes: what an exchange of so many queries costs both parties together, at most; None where num_queries
            is None.
        set_up_bytes: what comes before all of them.
        head_bytes: what the joint head costs, once.
        run_bytes: all exchanges, the head, and what comes before; None as exchange_bytes.
    """

    num_exchanges: int
    num_queries: Queries | None
    exchange_bytes: int | None
    set_up_bytes: int
    head_bytes: int = 0
    run_bytes: int | None


def plan(prices: Prices, config: ExchangeConfig, num_epochs: int, head_bytes: int = 0) -> Plan:
    """The largest number of queries of an exchange that config allows, divided between the parties.

    Args:
        head_bytes: what the joint head of the run costs both parties together, at most; the budget of all exchanges
            pays for it first.

    Raises:
        ConfigError: the budget does not pay for one query; says what would.
    """

    def cost(total: int) -> int:
        return prices.cost_of_both(divided(total, config.share_a))

    total = None if config.num_queries is None else 2 * config.num_queries
    num_exchanges = len(exchange_epochs(config, num_epochs))
    if config.budget_mb is not None:
        of_head = -(-head_bytes // num_exchanges)
        available = int(config.budget_mb * _MEGABYTE) - of_head
        if cost(1) > available:
            smallest = (cost(1) + of_head) / _MEGABYTE
            beside = f", beside its part of the joint head, {of_head / _MEGABYTE:.3f}" if of_head else ""
            raise ConfigError(
                f"exchange.budget_mb={config.budget_mb:g} does not pay for one query in an exchange{beside}; the "
                f"smallest that does is {smallest + 0.0005:.3f}"
            )
        total = _largest(cost, available, total)
    queries = None if total is None else divided(total, config.share_a)
    return Plan(
        num_exchanges=num_exchanges,
        num_queries=queries,
        exchange_bytes=None if queries is None else prices.cost_of_both(queries),
        set_up_bytes=prices.set_up_bytes,
        head_bytes=head_bytes,
        run_bytes=None if queries is None else head_bytes + prices.run_bytes(queries, num_exchanges),
    )


def divided(total: int, share_a: float) -> Queries:
    """The queries of both parties, with party a's share of them rounded to the nearest number, a half upwards."""
    of_a = math.floor(total * share_a + 0.5)
    return of_a, total - of_a


def configured_queries(config: ExchangeConfig) -> Queries | None:
    """What exchange.num_queries allows, a budget in megabytes apart."""
    return None if config.num_queries is None else divided(2 * config.num_queries, config.share_a)


def public_queries(public: PublicPoolConfig, config: ExchangeConfig) -> Queries:
    """How many public samples party a and party b ask about in one exchange."""
    return divided(2 * public.num_queries, config.share_a)


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
