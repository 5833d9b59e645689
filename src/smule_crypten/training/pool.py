"""The peer's answers on a party's unlabelled pool, as batches that join the labelled ones."""

from __future__ import annotations

import torch

from smule_crypten.data.images import LabelledImages
from smule_crypten.types import PredictionSource, SoftLabels


class AnsweredPool:
    """Those samples of a pool whose answer is known, drawn in random order, none again before all were drawn.

    Args:
        source: knows the answers.
        generator: decides the order.
    """

    def __init__(
        self, pool: LabelledImages, source: PredictionSource, device: torch.device, generator: torch.Generator
    ) -> None:
        self._images_NCHW = pool.images_NCHW.to(device)
        self._sample_ids = pool.sample_ids_N
        self._source = source
        self._generator = generator
        self._positions = torch.empty(0, dtype=torch.int64)
        self._logits_MC = torch.empty(0)
        self._weight_M = torch.empty(0)
        self._waiting = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._positions)

    def refresh(self) -> None:
        """Look all samples up again; call it when answers or their weights may have changed."""
        soft = self._source.lookup(self._sample_ids) if len(self._sample_ids) else None
        if soft is None:
            soft = SoftLabels(
                positions=torch.empty(0, dtype=torch.int64),
                logits_NC=torch.empty(0),
                model_step=torch.empty(0, dtype=torch.int64),
            )
        self._positions, self._logits_MC, self._weight_M = soft.positions, soft.logits_NC, soft.weights()
        self._waiting = torch.empty(0, dtype=torch.int64)

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images (M, C, H, W), logits (M, classes) and weights (M,) of at most `count` answered samples."""
        count = min(count, len(self))
        if len(self._waiting) < count:
            self._waiting = torch.randperm(len(self), generator=self._generator)
        chosen, self._waiting = self._waiting[:count], self._waiting[count:]
        images = self._images_NCHW[self._positions[chosen].to(self._images_NCHW.device)]
        return images, self._logits_MC[chosen].to(images.device), self._weight_M[chosen].to(images.device)
