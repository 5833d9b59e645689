"""Which of the own samples to ask about."""

from __future__ import annotations

import torch


class UniformSelection:
    """Uniformly random samples, none asked again before all were asked.

    Args:
        sample_ids: (N,) int64, the samples that may be asked about.
        seed: the order follows from it alone.
    """

    def __init__(self, sample_ids: torch.Tensor, seed: int) -> None:
        self._sample_ids = sample_ids
        self._generator = torch.Generator().manual_seed(seed)
        self._waiting = torch.empty(0, dtype=torch.int64)

    def next(self, count: int | None) -> torch.Tensor:
        """The next `count` sample ids, all different; all of them where count is None or more than there are."""
        total, wanted = len(self._sample_ids), self.count(count)
        chosen = self._waiting[:wanted]
        self._waiting = self._waiting[wanted:]
        if len(chosen) < wanted:
            again = self._sample_ids[torch.randperm(total, generator=self._generator)]
            # Samples of this query that were chosen from the last pass go to the end of the new one.
            fresh = again[~torch.isin(again, chosen)]
            missing = wanted - len(chosen)
            self._waiting = torch.cat([fresh[missing:], chosen])
            chosen = torch.cat([chosen, fresh[:missing]])
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
