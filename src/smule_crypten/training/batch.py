"""What a training step learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.tasks.task import Task
from smule_crypten.training.pool import PoolBatch
from smule_crypten.types import SoftLabels


@dataclass(frozen=True, eq=False)
class Batch:
    """inputs: the labelled ones first, then those of pooled, which count for their soft labels alone.

    They are the part of this process; size and pool_size count the samples of all processes, of both kinds.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    soft: SoftLabels | None
    pooled: PoolBatch | None
    size: int
    pool_size: int

    @property
    def share(self) -> float:
        """Of the labelled samples, those of this process."""
        return len(self.targets) / self.size

    @property
    def pool_share(self) -> float:
        return 0.0 if self.pooled is None else len(self.pooled[0]) / self.pool_size

    @property
    def num_soft(self) -> int:
        return 0 if self.soft is None else len(self.soft.positions)

    def sums(self, task: Task, loss: torch.Tensor, distillation: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """Loss, distillation loss and hits of the labelled samples: (3,), on the device.

        loss and distillation are what this process adds to those of the batch.
        """
        hits = task.hits(outputs[: len(self.targets)].detach(), self.targets)
        return torch.stack((loss.detach() * self.size, distillation * self.size, hits))

    def soft_of_each(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, C) and weights (B,) of the labelled samples' soft labels, zeros where one has none.

        The logits are (B, 1) where none has one.
        """
        count, like = len(self.targets), self.inputs
        if self.soft is None:
            return like.new_zeros(count, 1), like.new_zeros(count)
        positions = self.soft.positions.to(like.device)
        soft_BC, weight_B = like.new_zeros(count, self.soft.logits_NC.shape[1]), like.new_zeros(count)
        soft_BC[positions] = self.soft.logits_NC.to(like)
        weight_B[positions] = self.soft.weights().to(like)
        return soft_BC, weight_B
