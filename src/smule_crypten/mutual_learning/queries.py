"""What a party asks in one exchange: own labelled samples or its unlabelled pool, and some samples of known label."""

from __future__ import annotations

from typing import Any

import torch

from smule_crypten.data.images import LabelledImages
from smule_crypten.mutual_learning.selection import Selection

MOST_EVIDENCE = 200
"""Samples of known label that one exchange asks about at most: more tell little more about the peer."""
_FIRST_FRACTION = 0.5
"""Share of the first exchange's queries that go to held-out samples."""


class QueryPlan:
    """Chooses the samples of each exchange uniformly; everything random follows from seed.

    What a party learns from is its unlabelled pool or, without one, its labelled samples. What it judges the peer by
    are held-out samples or, without them, labelled ones beside a pool. The first exchange asks about held-out samples
    above all, so that the peer's worth is known before its answers are used; later ones keep an eye on it.

    Args:
        train: labelled samples. pool: unlabelled ones. held_out: the validation part. Pool and held_out may be empty.
        known_fraction: the share of later queries by which the peer is judged.
    """

    def __init__(
        self, train: LabelledImages, pool: LabelledImages, held_out: LabelledImages, known_fraction: float, seed: int
    ) -> None:
        self._known_fraction = known_fraction
        learned, known = pool if len(pool) else train, held_out
        if len(held_out) == 0 and len(pool) > 0:
            known = train
        self._known = Selection(known.sample_ids_N, seed)
        self._learned = Selection(learned.sample_ids_N, seed)
        self._is_first = len(held_out) > 0

    def count(self, num_queries: int | None) -> int:
        """How many samples `next` returns."""
        return sum(self._counts(num_queries))

    def next(self, num_queries: int | None) -> torch.Tensor:
        """The ids of at most num_queries samples; all that may be asked about where it is None.

        A sample is there twice only where known and learned ones are the same.
        """
        num_known, num_learned = self._counts(num_queries)
        self._is_first = False
        return torch.cat([self._known.next(num_known), self._learned.next(num_learned)])

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
