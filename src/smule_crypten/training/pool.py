"""The peer's answers on a party's unlabelled pool, as batches that join the labelled ones."""

from __future__ import annotations

import torch

from smule_crypten.config import AugmentationConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.training.augmentation import augment
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import AnsweredImagesSource, SoftLabels

_NONE = AugmentationConfig()


class AnsweredPool:
    """Those samples of a pool whose answer is known, drawn in random order, none again before all were drawn.

    Args:
        source: knows the answers.
        views: other images with an answer, which are drawn like those of the pool.
        generator: decides the order and the augmentation.
    """

    def __init__(
        self,
        pool: LabelledImages,
        source: TrustedSource,
        device: torch.device,
        generator: torch.Generator,
        views: AnsweredImagesSource | None = None,
    ) -> None:
        self._images_NCHW = pool.images_NCHW.to(device)
        self._views = views
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
        """Look everything up again; call it when answers or their weights may have changed."""
        of_pool = self._source.lookup(self._sample_ids) if len(self._sample_ids) else None
        parts = [soft for soft in (of_pool, self._answered_views()) if soft is not None]
        if not parts:
            return
        self._positions = torch.cat([soft.positions for soft in parts])
        self._logits_MC = torch.cat([soft.logits_NC for soft in parts])
        self._weight_M = torch.cat([soft.weights() for soft in parts])
        self._waiting = torch.empty(0, dtype=torch.int64)

    def _answered_views(self) -> SoftLabels | None:
        """What is known of views now; their images take their place behind those of the pool."""
        views = None if self._views is None else self._views.answered()
        if views is None:
            return None
        of_pool_NCHW = self._images_NCHW[: len(self._sample_ids)]
        self._images_NCHW = torch.cat([of_pool_NCHW, views.images_MCHW.to(of_pool_NCHW.device)])
        positions = len(of_pool_NCHW) + torch.arange(len(views.images_MCHW))
        return self._source.weighed(
            SoftLabels(positions=positions, logits_NC=views.logits_MC, model_step=views.model_step_M)
        )

    def draw(
        self, count: int, augmentation: AugmentationConfig = _NONE
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images (M, C, H, W), logits (M, classes) and weights (M,) of at most `count` answered samples.

        Samples of the pool are augmented; views are what the peer was asked about, and stay so.
        """
        count = min(count, len(self))
        if len(self._waiting) < count:
            self._waiting = torch.randperm(len(self), generator=self._generator)
        chosen, self._waiting = self._waiting[:count], self._waiting[count:]
        positions = self._positions[chosen].to(self._images_NCHW.device)
        images = self._images_NCHW[positions]
        of_pool = positions < len(self._sample_ids)
        images[of_pool] = augment(images[of_pool], augmentation, self._generator)
        return images, self._logits_MC[chosen].to(images.device), self._weight_M[chosen].to(images.device)
