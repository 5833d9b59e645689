"""Self mutual learning: two copies of a network at one party teach each other. No peer, no query.

What deep mutual learning gives by itself, as a regularizer, without any knowledge of somebody else.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from smule_crypten.config import TrainingConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.training.trainer import Trainer, sums_of_batch
from smule_crypten.types import SoftLabels


class SelfMutualTrainer(Trainer):
    """Trains model and a copy of it on the same batches, each from the other's predictions; model is what counts.

    Deep mutual learning (losses.py) in which both learn at the same time from what the other said before the step.
    model sees the batches and the randomness that it would see alone.

    Args:
        copy: the same network with other initial weights; trained in place as well.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        copy: nn.Module,
        train: LabelledImages,
        config: TrainingConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        super().__init__(model=model, train=train, config=config, seed=seed, device=device)
        self._copy = Trainer(model=copy.train(), train=train, config=config, seed=seed, device=device)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "copy": self._copy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._copy.load_state_dict(state["copy"])

    def _step(self, positions_B: torch.Tensor) -> tuple[torch.Tensor, int]:
        images_BCHW, labels_B = self._batch(positions_B)
        logits_BC = self._forward(images_BCHW)
        with self._copy._own_randomness():
            copy_logits_BC = self._copy._forward(images_BCHW)
        loss, distillation = self._loss(logits_BC, labels_B, _soft_labels(copy_logits_BC))
        copy_loss, _ = self._loss(copy_logits_BC, labels_B, _soft_labels(logits_BC))
        self._descend(loss)
        self._copy._descend(copy_loss)
        return sums_of_batch(loss, distillation, logits_BC, labels_B), len(labels_B)


def _soft_labels(logits_BC: torch.Tensor) -> SoftLabels:
    """All of a batch; the steps that they come from do not matter here."""
    positions = torch.arange(len(logits_BC))
    return SoftLabels(positions=positions, logits_NC=logits_BC.detach(), model_step=torch.zeros_like(positions))
