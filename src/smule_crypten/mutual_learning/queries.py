"""What a party asks in one exchange.

While it trains: own labelled samples or its unlabelled pool, or views of them, and some samples of known label.
Afterwards: some samples once, part by part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from smule_crypten.config.exchange import QueriesConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.mutual_learning.selection import Knowledge, Selection

MOST_EVIDENCE = 200
"""Samples of known label that one exchange asks about at most: more tell little more about the peer."""
_FIRST_FRACTION = 0.5
"""Share of the first exchange's queries that go to held-out samples."""


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

    What a party learns from is its unlabelled pool or, without one, its labelled samples, or views of either. What it
    judges the peer by are held-out samples or, without them, labelled ones beside a pool or views; these are chosen
    uniformly and asked about as they are. The first exchange asks about held-out samples above all, so that the peer's
    worth is known before its answers are used; later ones keep an eye on it.

    Args:
        train: labelled samples. pool: unlabelled ones. held_out: the validation part. Pool and held_out may be empty.
    """

    def __init__(
        self,
        train: LabelledImages,
        pool: LabelledImages,
        held_out: LabelledImages,
        config: QueriesConfig,
        seed: int,
    ) -> None:
        self._known_fraction = config.known_fraction
        self._has_views = config.view != "none"
        learned, known = pool if len(pool) else train, held_out
        if len(held_out) == 0 and (len(pool) > 0 or self._has_views):
            known = train
        self._known = Selection(known.sample_ids_N, seed)
        # Another seed where both are of the same samples, or views would be of those that are asked about as they are.
        self._learned = Selection(learned.sample_ids_N, seed + (learned is known), config.selection)
        self._is_first = len(held_out) > 0

    def count(self, num_queries: int | None) -> int:
        return sum(self._counts(num_queries))

    def next(self, num_queries: int | None, knowledge: Knowledge) -> Question:
        num_known, num_learned = self._counts(num_queries)
        self._is_first = False
        chosen = torch.cat([self._known.next(num_known, knowledge), self._learned.next(num_learned, knowledge)])
        return Question(chosen, num_views=num_learned if self._has_views else 0)

    def state_dict(self) -> dict[str, Any]:
        return {
            "known": self._known.state_dict(),
            "learned": self._learned.state_dict(),
            "is_first": self._is_first,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._known.load_state_dict(state["known"])
        self._learned.load_state_dict(state["learned"])
        self._is_first = state["is_first"]

    def _counts(self, num_queries: int | None) -> tuple[int, int]:
        if num_queries is None:
            return self._known.count(None), self._learned.count(None)
        fraction = _FIRST_FRACTION if self._is_first else self._known_fraction
        known = self._known.count(min(round(fraction * num_queries), MOST_EVIDENCE))
        return known, self._learned.count(num_queries - known)
