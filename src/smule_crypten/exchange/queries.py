"""What a party asks in one exchange.

While it trains: own labelled samples, or its unlabelled pool and some samples of known label. Afterwards: some samples
once, part by part.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch

from smule_crypten.config import QueriesConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.exchange.selection import Knowledge, Selection


class Queries(Protocol):
    """Chooses the sample ids of each exchange."""

    def count(self, num_queries: int | None) -> int:
        """How many sample ids `next` returns."""

    def next(self, num_queries: int | None, knowledge: Knowledge) -> torch.Tensor:
        """At most num_queries sample ids, all different; all that may be asked about where it is None."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class OnceEach:
    """Each of these samples once, in order; then none."""

    def __init__(self, sample_ids: torch.Tensor) -> None:
        self._waiting = sample_ids

    def count(self, num_queries: int | None) -> int:
        return len(self._waiting[:num_queries])

    def next(self, num_queries: int | None, knowledge: Knowledge) -> torch.Tensor:
        chosen = self._waiting[:num_queries]
        self._waiting = self._waiting[len(chosen) :]
        return chosen

    def state_dict(self) -> dict[str, Any]:
        return {"waiting": self._waiting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._waiting = state["waiting"]


class QueryPlan:
    """Chooses the sample ids of each exchange; everything follows from seed.

    Args:
        train: labelled samples. pool: unlabelled ones; where it is empty, only labelled samples are asked about.
        config: how to choose. Where there is a pool, labelled samples are chosen uniformly: they judge the peer.
    """

    def __init__(self, train: LabelledImages, pool: LabelledImages, config: QueriesConfig, seed: int) -> None:
        self._known_fraction = config.known_fraction
        self._known = Selection(train.sample_ids_N, seed, "uniform" if len(pool) else config.selection)
        self._pool = Selection(pool.sample_ids_N, seed, config.selection) if len(pool) else None

    def count(self, num_queries: int | None) -> int:
        """How many sample ids `next` returns."""
        return sum(self._counts(num_queries))

    def next(self, num_queries: int | None, knowledge: Knowledge) -> torch.Tensor:
        """At most num_queries sample ids, all different; all that may be asked about where it is None."""
        known, from_pool = self._counts(num_queries)
        chosen = self._known.next(known, knowledge)
        return chosen if self._pool is None else torch.cat([chosen, self._pool.next(from_pool, knowledge)])

    def state_dict(self) -> dict[str, Any]:
        return {
            "known": self._known.state_dict(),
            "pool": None if self._pool is None else self._pool.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._known.load_state_dict(state["known"])
        if self._pool is not None:
            self._pool.load_state_dict(state["pool"])

    def _counts(self, num_queries: int | None) -> tuple[int, int]:
        if self._pool is None:
            return self._known.count(num_queries), 0
        if num_queries is None:
            return self._known.count(None), self._pool.count(None)
        known = self._known.count(round(self._known_fraction * num_queries))
        return known, self._pool.count(num_queries - known)
