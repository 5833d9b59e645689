"""When the parties ask each other, how much, and what about: the exchange sections of the configuration."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from smule_crypten.config import Section


class ExchangeTerms(Section):
    """When the parties ask each other, and how much. Both agree on it.

    num_queries: samples an exchange and party; null asks about all of them. share_a: party a's share of the queries of
    both parties together; whose share is nothing only answers. Every `every`-th epoch begins with an exchange, after
    warmup_epochs epochs without (null: half of all). budget_mb: megabytes (10^6 bytes), of both parties together and
    with what the dealer sends, that an exchange may cost; it limits num_queries. spot_checks: answers an exchange that
    are asked for twice and compared (exchange/spot_check.py), always as many; they may differ by spot_check_tolerance,
    or by 10 standard deviations of the announced noise.
    """

    num_queries: int | None = Field(default=None, ge=1)
    share_a: float = Field(default=0.5, ge=0.0, le=1.0)
    every: int = Field(default=1, ge=1)
    warmup_epochs: int | None = Field(default=None, ge=0)
    budget_mb: float | None = Field(default=None, gt=0.0)
    spot_checks: int = Field(default=0, ge=0)
    spot_check_tolerance: float = Field(default=0.1, gt=0.0)

    @model_validator(mode="after")
    def _there_is_something_to_share(self) -> Self:
        if self.share_a != 0.5 and self.num_queries is None and self.budget_mb is None:
            raise ValueError("share_a divides a number of queries; set num_queries or budget_mb")
        return self

    def warmup(self, num_epochs: int) -> int:
        """Epochs before the first exchange."""
        return num_epochs // 2 if self.warmup_epochs is None else self.warmup_epochs


class QueriesConfig(Section):
    """What a party asks about, which is its own affair.

    known_fraction: the share of its queries that go to samples of its validation part or, without one, to labelled
    ones beside its unlabelled pool, by which it judges the peer.
    """

    known_fraction: float = Field(default=0.1, ge=0.0, le=1.0)


class ExchangeConfig(ExchangeTerms):
    """The terms, and what this party asks about."""

    queries: QueriesConfig = QueriesConfig()

    @property
    def terms(self) -> ExchangeTerms:
        return ExchangeTerms(**{name: getattr(self, name) for name in ExchangeTerms.model_fields})
