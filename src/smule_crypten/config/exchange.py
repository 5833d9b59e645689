"""When the parties ask each other, how much, and what about: the exchange sections of the configuration."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from smule_crypten.config.sections import Section


class ExchangeTerms(Section):
    """When the parties ask each other, and how much. Both agree on it.

    num_queries: samples an exchange and party; null asks about all of them. share_a: party a's share of the queries of
    both parties together; whose share is nothing only answers. schedule: which epochs begin with an exchange, after
    warmup_epochs epochs without (null: half of all): every `every`-th one, num_exchanges ones in a row, or as long as
    it is worth it (schedule.py and adaptive.py in mutual_learning/). max_age: exchanges after which an answer is
    forgotten. budget_mb: megabytes (10^6 bytes), of both parties together, that an exchange or the whole run may cost
    (budget_scope), with or without what the dealer sends (budget_counts); it limits num_queries. answer_with: the
    network that answers, the best one that its owner has, or the current one, in training (party/answering.py).
    spot_checks: answers an exchange that are asked for twice and compared (mutual_learning/spot_check.py), always as
    many; they may differ by spot_check_tolerance, or by 10 standard deviations of the announced noise.
    """

    num_queries: int | None = Field(default=None, ge=1)
    share_a: float = Field(default=0.5, ge=0.0, le=1.0)
    schedule: Literal["periodic", "front_loaded", "late", "adaptive"] = "periodic"
    num_exchanges: int | None = Field(default=None, ge=1)
    every: int = Field(default=1, ge=1)
    warmup_epochs: int | None = Field(default=None, ge=0)
    max_age: int | None = Field(default=None, ge=1)
    budget_mb: float | None = Field(default=None, gt=0.0)
    budget_scope: Literal["exchange", "run"] = "exchange"
    budget_counts: Literal["all", "online"] = "all"
    answer_with: Literal["best", "current"] = "best"
    spot_checks: int = Field(default=0, ge=0)
    spot_check_tolerance: float = Field(default=0.1, gt=0.0)

    @model_validator(mode="after")
    def _there_is_something_to_share(self) -> Self:
        if self.share_a != 0.5 and self.num_queries is None and self.budget_mb is None:
            raise ValueError("share_a divides a number of queries; set num_queries or budget_mb")
        return self

    @model_validator(mode="after")
    def _exchanges_are_counted_where_they_stand_in_a_row(self) -> Self:
        in_a_row = self.schedule in ("front_loaded", "late")
        if in_a_row and self.num_exchanges is None:
            raise ValueError(f"schedule={self.schedule} needs num_exchanges")
        if self.num_exchanges is not None and not in_a_row:
            raise ValueError(f"num_exchanges belongs to schedule=front_loaded or late, not to {self.schedule}")
        return self

    def warmup(self, num_epochs: int) -> int:
        """Epochs before the first exchange."""
        return num_epochs // 2 if self.warmup_epochs is None else self.warmup_epochs


SelectionName = Literal["uniform", "loss", "entropy", "margin", "disagreement", "class_balanced", "core_set"]


ViewName = Literal["none", "noise", "crop_flip", "mixup", "cutmix"]


class QueriesConfig(Section):
    """What a party asks about, which is its own affair.

    selection: the rule that chooses (mutual_learning/selection.py). view: what is asked about in place of a chosen
    sample (mutual_learning/views.py); the latest max_views of them are kept with their answers. known_fraction: the
    share of its queries that go to samples of its validation part or, without one, to labelled ones beside its
    unlabelled pool or views, chosen uniformly and as they are, by which it judges the peer. min_gain_per_mb: with
    schedule=adaptive, the gain in points of accuracy on its validation part that a megabyte must bring for the party to
    want another exchange.
    """

    selection: SelectionName = "uniform"
    view: ViewName = "none"
    max_views: int = Field(default=4096, ge=1)
    known_fraction: float = Field(default=0.1, ge=0.0, le=1.0)
    min_gain_per_mb: float = Field(default=0.02, ge=0.0)


class ExchangeConfig(ExchangeTerms):
    """The terms, and what this party asks about."""

    queries: QueriesConfig = QueriesConfig()

    @property
    def terms(self) -> ExchangeTerms:
        return ExchangeTerms(**{name: getattr(self, name) for name in ExchangeTerms.model_fields})
