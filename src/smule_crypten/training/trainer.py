"""A plain PyTorch training loop over a source of soft labels."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smule_crypten.config import TrainingConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.errors import DataError, TrainingError
from smule_crypten.training.augmentation import augment
from smule_crypten.training.losses import mutual_loss
from smule_crypten.training.optimizer import build_optimizer
from smule_crypten.types import PredictionSource


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What one epoch did; epoch counts from 1. Losses are means over the samples, in nats.

    distillation_loss is without its weight. train_accuracy (0..1) is taken from the training batches as they passed.
    soft_label_fraction is the share of the samples that had a soft label.
    """

    epoch: int
    loss: float
    distillation_loss: float
    train_accuracy: float
    soft_label_fraction: float
    seconds: float


class Trainer:
    """Trains model in place on train, and on the soft labels that source knows of its samples.

    Everything random (order, augmentation, dropout) follows from seed alone: runs with and without a source see
    the same batches, and PyTorch's global generators are left as they were found. Data and model are moved to device.
    on_step is called after each optimizer step; an exception of it ends the epoch.

    Raises:
        DataError: train holds fewer samples than a batch, or images that are not normalized.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        train: LabelledImages,
        config: TrainingConfig,
        seed: int,
        device: torch.device,
        source: PredictionSource | None = None,
        on_step: Callable[[], None] | None = None,
    ) -> None:
        if len(train) < config.batch_size:
            raise DataError(
                f"training.batch_size={config.batch_size} is more than the {len(train)} training samples of this "
                f"party; lower training.batch_size or give the party more data"
            )
        if not train.images_NCHW.is_floating_point():
            raise DataError(f"training images are {train.images_NCHW.dtype}; pass train.normalized(mean, std)")
        self._model = model.to(device)
        self._config = config
        self._device = device
        self._source = source
        self._on_step = on_step
        self._images_NCHW = train.images_NCHW.to(device)
        self._labels_N = train.labels_N.to(device)
        self._sample_ids_N = train.sample_ids_N.cpu()
        self._steps_per_epoch = math.ceil(len(train) / config.batch_size)
        total_steps = config.epochs * self._steps_per_epoch
        self._optimizer, self._scheduler = build_optimizer(model, config.optimizer, total_steps)
        self._generator = torch.Generator().manual_seed(seed)
        self._epochs_done = 0
        self._model_step = 0

    @property
    def model_step(self) -> int:
        """Number of optimizer steps done."""
        return self._model_step

    def run_epoch(self) -> EpochResult:
        """One pass over all samples.

        Raises:
            TrainingError: training diverged, or all of training.epochs were done before.
        """
        if self._epochs_done == self._config.epochs:
            raise TrainingError(f"all {self._config.epochs} epochs are done; raise training.epochs to train longer")
        started = time.perf_counter()
        self._model.train()
        with self._own_randomness():
            steps = [self._step(positions_B) for positions_B in self._draw_batches()]
        # Until here nothing waited for the device.
        sums_S3 = torch.stack([sums_3 for sums_3, _ in steps]).double().cpu()
        self._require_finite(sums_S3[:, 0])
        self._epochs_done += 1
        num_samples = len(self._labels_N)
        loss, distillation, hits = (sums_S3.sum(dim=0) / num_samples).tolist()
        return EpochResult(
            epoch=self._epochs_done,
            loss=loss,
            distillation_loss=distillation,
            train_accuracy=hits,
            soft_label_fraction=sum(num_soft for _, num_soft in steps) / num_samples,
            seconds=time.perf_counter() - started,
        )

    def state_dict(self) -> dict[str, Any]:
        """A snapshot between two epochs, network included, of tensors and plain values only."""
        return copy.deepcopy(
            {
                "model": self._model.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "scheduler": self._scheduler.state_dict(),
                "generator": self._generator.get_state(),
                "epochs_done": self._epochs_done,
                "model_step": self._model_step,
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue bit for bit where state was taken by a trainer of the same data, network and configuration."""
        self._model.load_state_dict(state["model"])
        # PyTorch would go on to write into the momenta of the given state.
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self._scheduler.load_state_dict(state["scheduler"])
        self._generator.set_state(state["generator"])
        self._epochs_done = state["epochs_done"]
        self._model_step = state["model_step"]

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Seed the global generators, from which dropout draws, and put them back afterwards."""
        seed = int(torch.randint(2**63 - 1, (), generator=self._generator))
        on_cuda = self._device.type == "cuda"
        with torch.random.fork_rng(devices=[self._device] if on_cuda else []):
            # torch.manual_seed would also reseed devices that are not put back.
            torch.default_generator.manual_seed(seed)
            if on_cuda:
                with torch.cuda.device(self._device):
                    torch.cuda.manual_seed(seed)
            yield

    def _draw_batches(self) -> tuple[torch.Tensor, ...]:
        """Positions of the samples in random order, in batches of nearly the same size.

        Equal batches rather than a small last one: it would weigh its samples more, and batch normalization cannot
        train on a batch of one.
        """
        permutation_N = torch.randperm(len(self._labels_N), generator=self._generator)
        return torch.tensor_split(permutation_N, self._steps_per_epoch)

    def _step(self, positions_B: torch.Tensor) -> tuple[torch.Tensor, int]:
        """One optimizer step.

        Returns:
            sums over the batch of loss, distillation loss and hits, on the device, and the number of soft labels.
        """
        soft = None if self._source is None else self._source.lookup(self._sample_ids_N[positions_B])
        positions_B = positions_B.to(self._device)
        images_BCHW = augment(self._images_NCHW[positions_B], self._config.augmentation, self._generator)
        labels_B = self._labels_N[positions_B]
        logits_BC = self._model(images_BCHW)
        loss, distillation = mutual_loss(
            logits_BC,
            labels_B,
            soft,
            temperature=self._config.temperature,
            distillation_weight=self._config.distillation_weight,
        )
        self._descend(loss)
        hits = (logits_BC.argmax(dim=1) == labels_B).sum()
        sums_3 = torch.stack((loss.detach() * len(labels_B), distillation * len(labels_B), hits))
        return sums_3, 0 if soft is None else len(soft.positions)

    def _descend(self, loss: torch.Tensor) -> None:
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self._config.optimizer.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._config.optimizer.gradient_clip)
        self._optimizer.step()
        self._scheduler.step()
        self._model_step += 1
        if self._on_step is not None:
            self._on_step()

    def _require_finite(self, losses_S: torch.Tensor) -> None:
        """The weights are looked at too, since the last step may have spoilt them after its loss."""
        finite_S = losses_S.isfinite()
        if finite_S.all() and nn.utils.parameters_to_vector(self._model.parameters()).isfinite().all():
            return
        good_steps = self._model_step - len(losses_S) + int(finite_S.long().cumprod(dim=0).sum())
        learning_rate = self._config.optimizer.learning_rate
        raise TrainingError(
            f"training diverged in epoch {self._epochs_done + 1} after step {good_steps}: the loss or a weight is not "
            f"finite; lower training.optimizer.learning_rate (now {learning_rate})"
        )
