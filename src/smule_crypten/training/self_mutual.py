"""Self mutual learning: two copies of a network at one party teach each other, without a query.

What deep mutual learning gives by itself, as a regularizer, without any knowledge of somebody else. With a teacher,
both copies learn from the peer's answers, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.metric_names import TaskName
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.task import Task
from smule_crypten.training.computing import ALONE, Computing
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer


class SelfMutualTrainer(Trainer):
    """Trains model and a copy of it on the same batches, each from the other's predictions; model is what counts.

    Deep mutual learning (losses.py) in which both learn at the same time from what the other said before the step.
    model sees the batches and the randomness that it would see alone.

    Args:
        copy: the same network with other initial weights; trained in place as well.
        weight: of what the copies teach each other about labelled samples.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        copy: nn.Module,
        train: Samples,
        config: TrainingConfig,
        seed: int,
        device: torch.device,
        teacher: Teacher | None = None,
        on_step: Callable[[], None] | None = None,
        task: Task | TaskName = CLASSIFICATION,
        weight: float = 1.0,
        computing: Computing = ALONE,
    ) -> None:
        super().__init__(
            model=model,
            train=train,
            config=config,
            seed=seed,
            device=device,
            teacher=teacher,
            on_step=on_step,
            task=task,
            computing=computing,
        )
        self._weight = weight
        self._copy = Trainer(
            model=copy.train(),
            train=train,
            config=config,
            seed=seed,
            device=device,
            task=task,
            computing=computing.another(),
        )

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "copy": self._copy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._copy.load_state_dict(state["copy"])

    def _step(self, positions_B: torch.Tensor) -> tuple[torch.Tensor, int]:
        batch = self._batch(positions_B)
        logits = self._forward(batch.inputs)
        with self._copy._own_randomness():
            copy_logits = self._copy._forward(batch.inputs)
        loss, distillation = self._loss(logits, batch)
        copy_loss, _ = self._loss(copy_logits, batch)
        count = len(batch.targets)
        distance = partial(self._task.distillation, temperature=self._config.temperature)
        weight = self._weight * batch.share
        loss = loss + weight * distance(logits[:count], copy_logits[:count])
        copy_loss = copy_loss + weight * distance(copy_logits[:count], logits[:count])
        self._descend(loss)
        self._copy._descend(copy_loss)
        return batch.sums(self._task, loss, distillation, logits), batch.num_soft
