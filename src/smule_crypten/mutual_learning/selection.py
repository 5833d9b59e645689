"""Which of the own samples to ask about: any of them, none again before all were."""

from __future__ import annotations

import torch


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
