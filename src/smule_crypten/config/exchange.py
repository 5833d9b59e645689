"""When the parties ask each other, how much, and what about: the exchange sections of the configuration."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from smule_crypten.config.sections import RARE, Section


class ExchangeTerms(Section):
    """When the parties ask each other, and how much. Both agree on it."""

    num_queries: int | None = Field(default=200, ge=1)
    """Samples that each party asks about in one exchange; null asks about all of them."""
    share_a: float = Field(default=0.5, ge=0.0, le=1.0)
    """Party a's share of the queries of both: of 2 * num_queries, or of what budget_mb pays for. With 1, party a asks
    and party b only answers, which suits a party with few labels beside one with many."""
    every: int = Field(default=4, ge=1)
    """An exchange at the start of every n-th epoch."""
    warmup_epochs: int | None = Field(default=0, ge=0, json_schema_extra=RARE)
    """Epochs without a peer before the first exchange; null stands for half of training.epochs, which suits
    training.standalone=false: a network that has learned nothing yet teaches nothing."""
    budget_mb: float | None = Field(default=None, gt=0.0)
    """Megabytes (10^6 bytes) of both parties together, and with what the dealer sends, that an exchange may cost; null
    for no limit. It lowers num_queries where it binds. What a scheme sends ahead of an exchange counts as the most that
    it can be; its set-up, once a run, comes on top."""
    spot_checks: int = Field(default=0, ge=0)
    """Answers per exchange that are asked for a second time, with fresh randomness, and compared; always as many, or
    all where there are fewer. They count as queries."""
    spot_check_tolerance: float = Field(default=0.1, gt=0.0, json_schema_extra=RARE)
    """By how much two such logits may differ, or by 10 standard deviations of the announced noise: fixed point rounds,
    and the other party may add noise (disclosure.logit_noise)."""

    @model_validator(mode="after")
    def _there_is_something_to_share(self) -> Self:
        if self.share_a != 0.5 and self.num_queries is None and self.budget_mb is None:
            raise ValueError("share_a divides a number of queries; set num_queries or budget_mb")
        return self

    def warmup(self, num_epochs: int) -> int:
        """Epochs before the first exchange."""
        return num_epochs // 2 if self.warmup_epochs is None else self.warmup_epochs


class QueriesConfig(Section):
    """What a party asks about, which is its own affair."""

    known_fraction: float = Field(default=0.1, ge=0.0, le=1.0, json_schema_extra=RARE)
    """Share of the queries that go to samples of the validation part (half of the first exchange's) or, without one, to
    labelled samples beside an unlabelled pool: they judge the peer. Not compared between hosts."""


class ExchangeConfig(ExchangeTerms):
    """The terms, and what this party asks about."""

    queries: QueriesConfig = QueriesConfig()

    @property
    def terms(self) -> ExchangeTerms:
        return ExchangeTerms(**{name: getattr(self, name) for name in ExchangeTerms.model_fields})
