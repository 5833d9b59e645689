"""What a party asks in one exchange.

While it trains: own labelled samples; or its unlabelled pool, or views of samples, and some samples of known label.
Afterwards: some samples once, part by part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from smule_crypten.config import QueriesConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.exchange.selection import Knowledge, Selection


@dataclass(frozen=True)
class Question:
    """The samples that one exchange asks about. Of the last num_views of them, a view is asked about.

    The others are all different, and so are those with a view.
    """

    sample_ids: torch.Tensor
    num_views: int = 0


class Queries(Protocol):
    """Chooses the samples of each exchange."""

    def count(self, num_queries: int | None) -> int:
        """How many samples `next` returns."""

    def next(self, num_queries: int | None, knowledge: Knowledge) -> Question:
        """At most num_queries samples; all that may be asked about where it is None."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class OnceEach:
    """Each of these samples once, in order; then none."""

    def __init__(self, sample_ids: torch.Tensor) -> None:
        self._waiting = sample_ids

    def count(self, num_queries: int | None) -> int:
        return len(self._waiting[:num_queries])

    def next(self, num_queries: int | None, knowledge: Knowledge) -> Question:
        chosen = self._waiting[:num_queries]
        self._waiting = self._waiting[len(chosen) :]
        return Question(chosen)

    def state_dict(self) -> dict[str, Any]:
        return {"waiting": self._waiting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._waiting = state["waiting"]


class QueryPlan:
    """Chooses the samples of each exchange by config; everything random follows from seed.

    Args:
        train: labelled samples. pool: unlabelled ones. The labelled ones judge the peer where something else is asked
            about, the pool or views; then they are chosen uniformly and asked about as they are.
    """

    def __init__(self, train: LabelledImages, pool: LabelledImages, config: QueriesConfig, seed: int) -> None:
        self._known_fraction = config.known_fraction
        self._has_pool, self._has_views = len(pool) > 0, config.view != "none"
        judges = self._has_pool or self._has_views
        self._known = Selection(train.sample_ids_N, seed, "uniform" if judges else config.selection)
        self._others: Selection | None = None
        if judges:
            # Another seed, or views of labelled samples would be of those that are asked about as they are.
            others, seed = (pool, seed) if self._has_pool else (train, seed + 1)
            self._others = Selection(others.sample_ids_N, seed, config.selection)

    def count(self, num_queries: int | None) -> int:
        return sum(self._counts(num_queries))

    def next(self, num_queries: int | None, knowledge: Knowledge) -> Question:
        num_known, num_others = self._counts(num_queries)
        known = self._known.next(num_known, knowledge)
        if self._others is None:
            return Question(known)
        others = self._others.next(num_others, knowledge)
        return Question(torch.cat([known, others]), num_views=len(others) if self._has_views else 0)

    def state_dict(self) -> dict[str, Any]:
        return {
            "known": self._known.state_dict(),
            "others": None if self._others is None else self._others.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._known.load_state_dict(state["known"])
        if self._others is not None:
            self._others.load_state_dict(state["others"])

    def _counts(self, num_queries: int | None) -> tuple[int, int]:
        if self._others is None:
            return self._known.count(num_queries), 0
        if not self._has_pool:
            num_queries = self._known.count(num_queries)
        if num_queries is None:
            return self._known.count(None), self._others.count(None)
        num_known = self._known.count(round(self._known_fraction * num_queries))
        return num_known, self._others.count(num_queries - num_known)
