"""What a worker learns from beside labels: what process 0 tells it, once an epoch, of its teacher's soft labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.tasks.task import Task
from smule_crypten.training.teacher import Teacher
from smule_crypten.types import SoftLabels


class ToldTeacher(Teacher):
    """Says what the teacher of process 0 says, and draws the same pool samples; decides nothing.

    Args:
        sample_ids: (N,) int64, what is told speaks of these, in this order.
        pool: all that is learned from by soft labels alone.
    """

    def __init__(
        self,
        *,
        sample_ids: torch.Tensor,
        train: Samples,
        pool: Samples,
        config: TrainingConfig,
        device: torch.device,
        task: Task,
    ) -> None:
        trusting = config.model_copy(update={"trust": "none", "teacher": "peer"})
        super().__init__(_Nobody(), train=train, pool=pool, config=trusting, device=device, task=task)
        self._order = sample_ids.argsort()
        self._sorted_ids = sample_ids[self._order]
        self._row_N = torch.full((len(sample_ids),), -1)
        self._soft: SoftLabels | None = None
        self._unasked = 0.0

    def refresh(self, model: nn.Module, temperature: float) -> None:
        """Process 0 has judged."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hear what Teacher.told says."""
        self._soft, self._unasked = state["soft"], state["unasked"]
        self._row_N = torch.full((len(self._sorted_ids),), -1)
        if self._soft is not None:
            self._row_N[self._soft.positions] = torch.arange(len(self._soft.positions))
        self._generator.set_state(state["generator"])
        self._look_up()

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        if self._soft is None:
            return None
        rows = self._row_N[self._order[torch.searchsorted(self._sorted_ids, sample_ids)]]
        positions = (rows >= 0).nonzero().squeeze(1)
        if len(positions) == 0:
            return None
        known, soft = rows[positions], self._soft
        return replace(
            soft,
            positions=positions,
            logits_NC=soft.logits_NC[known],
            model_step=soft.model_step[known],
            weight_M=None if soft.weight_M is None else soft.weight_M[known],
        )

    @property
    def _share_of_unasked(self) -> float:
        return self._unasked


class _Nobody:
    """A PredictionSource that knows nothing."""

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        return None
