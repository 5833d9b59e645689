"""What a party knows, for tests of what it asks about."""

from __future__ import annotations

import torch

from smule_crypten.data.images import UNKNOWN
from smule_crypten.types import SoftLabels


class KnownSamples:
    """Knowledge of the samples 0 to N - 1; what is not given must not be looked at."""

    def __init__(
        self,
        *,
        labels: list[int] | None = None,
        logits: list[list[float]] | None = None,
        features: list[list[float]] | None = None,
        answers: dict[int, list[float]] | None = None,
    ) -> None:
        self._labels = labels
        self._logits = logits
        self._features = features
        self._answers = answers

    def labels(self, sample_ids: torch.Tensor) -> torch.Tensor:
        if self._labels is None:
            return torch.full_like(sample_ids, UNKNOWN)
        return torch.tensor(self._labels)[sample_ids]

    def logits(self, sample_ids: torch.Tensor) -> torch.Tensor:
        assert self._logits is not None
        return torch.tensor(self._logits, dtype=torch.float32)[sample_ids]

    def features(self, sample_ids: torch.Tensor) -> torch.Tensor:
        assert self._features is not None
        return torch.tensor(self._features, dtype=torch.float32)[sample_ids]

    def answers(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        known = [position for position, sample in enumerate(sample_ids.tolist()) if sample in (self._answers or {})]
        if self._answers is None or not known:
            return None
        logits = torch.tensor([self._answers[int(sample_ids[position])] for position in known])
        return SoftLabels(
            positions=torch.tensor(known), logits_NC=logits, model_step=torch.zeros(len(known), dtype=torch.int64)
        )


NOTHING = KnownSamples()
