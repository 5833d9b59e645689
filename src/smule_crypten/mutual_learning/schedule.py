"""At which epochs the parties ask each other, and about which public samples. The same at both, or one would wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smule_crypten.config.exchange import ExchangeTerms


def exchange_epochs(terms: ExchangeTerms, num_epochs: int) -> range:
    """The epochs, counted from 1, that begin with an exchange: every n-th one after the warm-up."""
    return range(terms.warmup(num_epochs) + 1, num_epochs + 1, terms.every)


@dataclass(frozen=True, kw_only=True)
class PublicSchedule:
    """Of pool_size public samples party a and party b ask about counts in each exchange, as long as some are left.

    Both ask about the same ones, as far as both ask.
    """

    pool_size: int
    counts: tuple[int, int]

    def asked(self, exchange: int, rank: int) -> slice:
        """The places in the order of the pool that the party of this rank asks about, in an exchange counted from 1."""
        start = min(self.pool_size, (exchange - 1) * max(self.counts))
        return slice(start, min(self.pool_size, start + self.counts[rank]))

    def of_exchanges(self, num_exchanges: int, rank: int) -> list[int]:
        """How many the party of this rank asks about, exchange by exchange."""
        places = (self.asked(number, rank) for number in range(1, num_exchanges + 1))
        return [place.stop - place.start for place in places]


@dataclass(frozen=True)
class PublicPlan:
    """Answers about public samples in each exchange of a run, none where there are no counts.

    is_repeated: the next exchange would get the answers that are charged already, if they are.
    """

    counts: Sequence[int] = ()
    is_repeated: bool = False


NOTHING_PUBLIC = PublicPlan()
