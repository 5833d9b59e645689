"""A plain PyTorch training loop over a source of soft labels."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.fetching import announce, inputs_of
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError, TrainingError
from smule_crypten.metric_names import TaskName
from smule_crypten.models.fusion import fused
from smule_crypten.models.modules import has_trainable
from smule_crypten.models.state import plain_state
from smule_crypten.tasks.by_name import as_task
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.task import LossTerms, Task
from smule_crypten.training.augmentation import augment, drawn
from smule_crypten.training.batch import Batch
from smule_crypten.training.computing import ALONE, Computing
from smule_crypten.training.evaluate import CPU
from smule_crypten.training.losses import mutual_loss
from smule_crypten.training.optimizer import build_optimizer
from smule_crypten.training.pool import PoolBatch
from smule_crypten.training.randomness import seeded
from smule_crypten.training.steps import even_batches, feasible_steps, num_drawn
from smule_crypten.training.teacher import Teacher


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What one epoch did; epoch counts from 1. Losses are means over the samples, in nats.

    distillation_loss is without its weight. train_accuracy (0..1; of several labels, the share that is right) is taken
    from the training batches as they passed, None in regression.
    soft_label_fraction is the share of the samples that had a soft label. peer_accuracy is that of the peer's answers
    on samples of known label, peer_weight its mean part in the soft labels; None where there are none.
    """

    epoch: int
    loss: float
    distillation_loss: float
    train_accuracy: float | None
    soft_label_fraction: float
    peer_accuracy: float | None
    peer_weight: float | None
    seconds: float


class Trainer:
    """Trains a network in place on labels, and on the soft labels that a teacher knows of the samples.

    Pool samples of the teacher join each batch, for their soft labels alone.

    Everything random (order, augmentation, dropout) follows from seed alone: runs with and without a teacher see
    the same batches, and PyTorch's global generators are left as they were found. Data and model are moved to device.
    A finished network, without a parameter to train, stays as it is: its epochs measure it, in evaluation mode.

    Args:
        model: inputs (N, X) -> logits (N, classes); changed in place by each `run_epoch`.
        train: labelled samples, normalised.
        config: epochs, batches, optimizer and loss.
        seed: of everything random.
        device: where to train.
        teacher: where soft labels come from; None to learn from labels alone.
        on_step: called after each optimizer step; an exception of it ends the epoch.
        task: what is learned: classification, multilabel or regression, whose targets are to be standardised before.
        computing: how steps are computed.

    Raises:
        DataError: there are fewer samples than the network can train on (steps.feasible_steps).
        ConfigError: the batches of config cannot be made; or config.dp is set, which PrivateTrainer keeps and this one
            does not.

    Example:
        >>> import torch, smule_crypten as smule
        >>> samples = smule.Samples(torch.randn(64, 1, 8, 8), torch.arange(64) % 2, torch.arange(64))
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        >>> trainer = smule.Trainer(model=network, train=samples, config=smule.TrainingConfig(epochs=2))
        >>> [trainer.run_epoch().epoch for _ in range(2)]
        [1, 2]
    """

    _is_private = False

    def __init__(
        self,
        *,
        model: nn.Module,
        train: Samples,
        config: TrainingConfig,
        seed: int = 0,
        device: torch.device = CPU,
        teacher: Teacher | None = None,
        on_step: Callable[[], None] | None = None,
        task: Task | TaskName = CLASSIFICATION,
        computing: Computing = ALONE,
    ) -> None:
        if config.dp is not None and not self._is_private:
            raise ConfigError("training.dp: this training is not private; set training.dp=null for it")
        self._steps_per_epoch = feasible_steps(model, train, config)
        self._is_finished = not has_trainable(model)
        self._model = model.to(device)
        self._computing, self._forward = computing, computing.forward(fused(model))
        self._config, self._device = config, device
        self.teacher, self._on_step = teacher, on_step
        self._task = as_task(task)
        self._inputs = inputs_of(train, device)
        self._targets = train.targets.to(device)
        self._copies_NKX = None if train.copies is None else train.copies.to(device)
        self._sample_ids_N = train.sample_ids.cpu()
        self._terms: LossTerms | None = None
        total_steps = config.epochs * self._steps_per_epoch
        self._optimizer, self._scheduler = build_optimizer(model, config.optimizer, total_steps)
        self._generator = torch.Generator().manual_seed(seed)
        # Of the pool's crops and flips: the batches are the same with and without a teacher.
        self._pool_generator = torch.Generator().manual_seed(seed)
        self._epochs_done = self._model_step = 0
        if not self._is_private:
            computing.require(num_drawn(config, len(train)) // self._steps_per_epoch)

    @property
    def model_step(self) -> int:
        """Number of optimizer steps done; 0 for a finished network, whose answers do not age."""
        return self._model_step

    def run_epoch(self) -> EpochResult:
        """training.steps_per_epoch batches, or one pass over all samples.

        Raises:
            TrainingError: training diverged, or all of training.epochs were done before.
        """
        if self._epochs_done == self._config.epochs:
            raise TrainingError(f"all {self._config.epochs} epochs are done; raise training.epochs to train longer")
        started = time.perf_counter()
        if self.teacher is not None:
            self.teacher.refresh(self._model, self._config.temperature)
        self._model.train(not self._is_finished)
        with self._computing.epoch(self), self._own_randomness():
            batches = self._draw_batches()
            announce(self._inputs, [batch[self._computing.part(len(batch))] for batch in batches])
            steps = [self._step(positions_B) for positions_B in batches]
            # In one process, nothing has waited for the device until here.
            sums_S3 = self._computing.total(torch.stack([sums_3 for sums_3, _ in steps])).double().cpu()
            num_soft = int(self._computing.total(torch.tensor(sum(count for _, count in steps))))
        self._require_finite(sums_S3[:, 0])
        self._epochs_done += 1
        # Those of a private training may all be empty.
        num_samples = max(1, sum(len(positions_B) for positions_B in batches))
        loss, distillation, hits = (sums_S3.sum(dim=0) / num_samples).tolist()
        return EpochResult(
            epoch=self._epochs_done,
            loss=loss,
            distillation_loss=distillation,
            train_accuracy=None if self._task.name == "regression" else hits,
            soft_label_fraction=num_soft / num_samples,
            peer_accuracy=None if self.teacher is None else self.teacher.peer_accuracy,
            peer_weight=None if self.teacher is None else self.teacher.peer_weight,
            seconds=time.perf_counter() - started,
        )

    def state_dict(self) -> dict[str, Any]:
        """A snapshot between two epochs, network included, of tensors and plain values only."""
        return copy.deepcopy(
            {
                "model": plain_state(self._model.state_dict()),
                "optimizer": self._optimizer.state_dict(),
                "scheduler": self._scheduler.state_dict(),
                "generator": self._generator.get_state(),
                "pool_generator": self._pool_generator.get_state(),
                "teacher": None if self.teacher is None else self.teacher.state_dict(),
                "epochs_done": self._epochs_done,
                "model_step": self._model_step,
                **self._computing.state_dict(),
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue bit for bit where state was taken by a trainer of the same data, network and configuration."""
        self._model.load_state_dict(state["model"])
        # PyTorch would go on to write into the momenta of the given state.
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self._scheduler.load_state_dict(state["scheduler"])
        self._generator.set_state(state["generator"])
        self._pool_generator.set_state(state["pool_generator"])
        if self.teacher is not None:
            self.teacher.load_state_dict(state["teacher"])
        self._epochs_done = state["epochs_done"]
        self._model_step = state["model_step"]
        self._computing.load_state_dict(state)

    def _own_randomness(self) -> AbstractContextManager[None]:
        """Of dropout, by a seed of the trainer's own generator."""
        seed = int(torch.randint(2**63 - 1, (), generator=self._generator))
        return seeded(self._computing.seed(seed), self._device)

    def _draw_batches(self) -> tuple[torch.Tensor, ...]:
        """Positions of the samples."""
        num_samples = len(self._targets)
        wanted = num_drawn(self._config, num_samples)
        return even_batches(num_samples, wanted, self._steps_per_epoch, self._generator)

    def _step(self, positions_B: torch.Tensor) -> tuple[torch.Tensor, int]:
        """One optimizer step.

        Returns:
            sums over the batch of loss, distillation loss and hits, on the device, and the number of soft labels.
        """
        batch = self._batch(positions_B)
        logits = self._forward(batch.inputs)
        loss, distillation = self._loss(logits, batch)
        self._descend(loss)
        return batch.sums(self._task, loss, distillation, logits), batch.num_soft

    def _batch(self, positions_B: torch.Tensor) -> Batch:
        """Labelled samples, augmented, with their soft labels, and what joins them: the part of this process."""
        part = self._computing.part(len(positions_B))
        soft = None if self.teacher is None else self.teacher.lookup(self._sample_ids_N[positions_B[part]])
        augmentation, generator = self._config.augmentation, self._generator
        images = drawn(self._inputs, self._copies_NKX, positions_B, augmentation, generator, part)
        pooled, pool_size = self._beside_the_labelled()
        if pooled is not None:
            images = torch.cat([images, pooled[0]])
        targets = self._targets[positions_B[part].to(self._device)]
        return Batch(images, targets, soft, pooled, len(positions_B), pool_size)

    def _beside_the_labelled(self) -> tuple[PoolBatch | None, int]:
        """Pool samples, augmented: the part of this process, and how many they are in all."""
        pooled = None if self.teacher is None else self.teacher.pool_batch(self._config.pool_batch)
        if pooled is None:
            return None, 0
        size = len(pooled[0])
        part = self._computing.part(size)
        inputs, logits, weights = (values[part] for values in pooled)
        if self._copies_NKX is None:  # else the pool has drawn among its copies
            inputs = augment(inputs, self._config.augmentation, self._pool_generator, part, size)
        return (inputs, logits, weights), size

    def _loss(self, logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """As losses.mutual_loss, of all of the batch: what the part of this process adds to it."""
        count = len(batch.targets)
        loss, distillation = mutual_loss(
            logits[:count],
            batch.targets,
            batch.soft,
            temperature=self._config.temperature,
            distillation_weight=self._config.distillation_weight,
            **vars(self._loss_terms(logits)),
            task=self._task,
        )
        loss, distillation = batch.share * loss, batch.share * distillation
        if batch.pooled is None or batch.pool_share == 0:
            return loss, distillation
        _, pool_logits, pool_weights = batch.pooled
        from_pool = self._task.distillation(logits[count:], pool_logits, self._config.temperature, pool_weights)
        from_pool = batch.pool_share * from_pool
        return loss + self._config.distillation_weight * from_pool, distillation + from_pool.detach()

    def _loss_terms(self, logits: torch.Tensor) -> LossTerms:
        """From the labels, once the number of outputs is known."""
        if self._terms is None:
            self._terms = self._task.terms(self._config, self._targets, logits.shape[1])
        return self._terms

    def _descend(self, loss: torch.Tensor) -> None:
        self._optimizer.zero_grad()
        if not self._is_finished:
            self._computing.backward(loss, self._optimizer)
            if self._config.optimizer.gradient_clip is not None:
                nn.utils.clip_grad_norm_(self._model.parameters(), self._config.optimizer.gradient_clip)
        self._advance()

    def _advance(self) -> None:
        """Along the gradients that are there."""
        self._computing.step(self._optimizer)
        self._scheduler.step()
        self._model_step += not self._is_finished
        if self._on_step is not None:
            self._on_step()

    def _require_finite(self, losses_S: torch.Tensor) -> None:
        """The weights are looked at too, since the last step may have spoilt them after its loss."""
        finite_S = losses_S.isfinite()
        finite_P = [parameter.isfinite().all() for parameter in self._model.parameters()]
        if finite_S.all() and all(finite_P):
            return
        good_steps = self._model_step - len(losses_S) + int(finite_S.long().cumprod(dim=0).sum())
        learning_rate = self._config.optimizer.learning_rate
        raise TrainingError(
            f"training diverged in epoch {self._epochs_done + 1} after step {good_steps}: the loss or a weight is not "
            f"finite; lower training.optimizer.learning_rate (now {learning_rate})"
        )
