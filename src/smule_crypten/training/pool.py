"""Soft labels of a party's unlabelled pool, as batches that join the labelled ones."""

from __future__ import annotations

import torch

from smule_crypten.config.sections import AugmentationConfig
from smule_crypten.data.fetching import inputs_of
from smule_crypten.data.samples import Samples
from smule_crypten.training.augmentation import drawn
from smule_crypten.training.ensemble import UNASKED
from smule_crypten.types import PredictionSource

PoolBatch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Inputs (M, X), logits (M, classes) and weights (M,)."""


class SoftLabelledPool:
    """Those samples of a pool that have a soft label.

    Samples that the peer was asked about and those of which only the party's network speaks are drawn apart: in the
    beginning the latter are many and say little.

    Args:
        source: knows the soft labels.
        generator: decides the order.
    """

    def __init__(
        self, pool: Samples, source: PredictionSource, device: torch.device, generator: torch.Generator
    ) -> None:
        self._inputs = inputs_of(pool, device)
        self._copies_NKX = None if pool.copies is None else pool.copies.to(device)
        self._device, self._generator = device, generator
        self._sample_ids = pool.sample_ids
        self._source = source
        self._logits_NC = torch.empty(0)
        self._weight_N = torch.zeros(len(pool))
        self._asked, self._unasked = _Order(generator), _Order(generator)

    def refresh(self) -> None:
        """Look all samples up again; call it when answers or their weights may have changed."""
        soft = self._source.lookup(self._sample_ids) if len(self._sample_ids) else None
        if soft is None:
            self._asked.restart(torch.empty(0, dtype=torch.int64))
            self._unasked.restart(torch.empty(0, dtype=torch.int64))
            return
        self._logits_NC = torch.zeros(len(self._sample_ids), soft.logits_NC.shape[1])
        self._logits_NC[soft.positions] = soft.logits_NC
        self._weight_N[soft.positions] = soft.weights()
        is_asked = soft.model_step != UNASKED
        self._asked.restart(soft.positions[is_asked])
        self._unasked.restart(soft.positions[~is_asked])

    def draw(self, count: int, unasked_share: float) -> PoolBatch | None:
        """At most count samples, this share of them unasked, as far as there are some; None where there are none."""
        num_unasked = min(round(unasked_share * count), len(self._unasked))
        chosen = torch.cat([self._asked.next(count - num_unasked), self._unasked.next(num_unasked)])
        if len(chosen) == 0:
            return None
        return (
            drawn(self._inputs, self._copies_NKX, chosen, AugmentationConfig(), self._generator),
            self._logits_NC[chosen].to(self._device),
            self._weight_N[chosen].to(self._device),
        )


class _Order:
    """Positions in random order, none again before all were drawn."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._positions = self._waiting = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._positions)

    def restart(self, positions: torch.Tensor) -> None:
        self._positions, self._waiting = positions, positions[:0]

    def next(self, count: int) -> torch.Tensor:
        count = min(count, len(self))
        if len(self._waiting) < count:
            self._waiting = self._positions[torch.randperm(len(self), generator=self._generator)]
        chosen, self._waiting = self._waiting[:count], self._waiting[count:]
        return chosen
