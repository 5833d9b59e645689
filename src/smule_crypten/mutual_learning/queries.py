"""What a party asks in one exchange: own labelled samples or its unlabelled pool, and some samples of known label."""

from __future__ import annotations

from typing import Any

import torch

from smule_crypten.data.samples import Samples

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

    def __init__(self, train: Samples, pool: Samples, held_out: Samples, known_fraction: float, seed: int) -> None:
        self._known_fraction = known_fraction
        learned, known = pool if len(pool) else train, held_out
        if len(held_out) == 0 and len(pool) > 0:
            known = train
        self._known = Selection(known.sample_ids, seed)
        self._learned = Selection(learned.sample_ids, seed)
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


class Selection:
    """Chooses uniformly, none again before all were chosen.

    Args:
        sample_ids: (N,) int64, the samples that may be asked about.
        seed: the order in which they wait follows from it alone.
    """

    def __init__(self, sample_ids: torch.Tensor, seed: int) -> None:
        self._sample_ids = sample_ids
        self._generator = torch.Generator().manual_seed(seed)
        self._waiting = torch.empty(0, dtype=torch.int64)

    def next(self, count: int | None) -> torch.Tensor:
        """The next `count` sample ids, all different; all of them where count is None or more than there are."""
        wanted = self.count(count)
        chosen, self._waiting = self._waiting[:wanted], self._waiting[wanted:]
        missing = wanted - len(chosen)
        if missing:
            again = self._sample_ids[torch.randperm(len(self._sample_ids), generator=self._generator)]
            # Samples of this query that were chosen from the last pass go to the end of the new one.
            again = torch.cat([again[~torch.isin(again, chosen)], chosen])
            chosen, self._waiting = torch.cat([chosen, again[:missing]]), again[missing:]
        return chosen

    def count(self, count: int | None) -> int:
        """How many sample ids `next` returns."""
        total = len(self._sample_ids)
        return total if count is None else min(count, total)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"waiting": self._waiting, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self._waiting = state["waiting"]
        self._generator.set_state(state["generator"])
