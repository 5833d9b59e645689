"""Differentially private training (M. Abadi et al., "Deep Learning with Differential Privacy", CCS 2016).

A step, of N training samples, with rate q, bound C and noise multiplier s:

1. Each sample is drawn with probability q, on its own.
2. The gradient of the loss of each drawn sample is shortened to the norm C at most: g_i min(1, C / |g_i|).
3. Their sum plus s C N(0, I), divided by q N, is what the optimizer sees.

The loss of a sample is that of its label plus its own soft label's divergence, nothing of other samples.

Neighbours are two data sets of which one lacks what a single sample adds: its place stays, its gradients do not count.
So which samples are asked about, which depends on places alone, is the same in both, and so are the soft labels of the
others but for what the peer learned from the noisy network.

What is drawn here, cropped, flipped and dropped included, must not be known to whom the training is private from:
the experiment's public seed has no part in it. Gradients of single samples come from torch.func: Opacus' hooks on
modules would need networks of their own; its accountant is used (privacy.py).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vmap

from smule_crypten.config.sections import DpConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ModelError
from smule_crypten.metric_names import TaskName
from smule_crypten.models.modules import has_trainable
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.task import LossTerms, Task
from smule_crypten.training.batch import Batch
from smule_crypten.training.computing import ALONE, Computing
from smule_crypten.training.privacy import noise_multiplier
from smule_crypten.training.steps import steps_per_epoch
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer


class SecretStream(Protocol):
    """Randomness that follows from a secret key alone (mpc/streams.py)."""

    def bits(self, size: tuple[int, ...], bitlength: int) -> torch.Tensor: ...

    def normal(self, size: tuple[int, ...]) -> torch.Tensor: ...


_UNIFORM_BITS = 53


def sample_rate(config: TrainingConfig, num_samples: int) -> float:
    """The probability with which each sample is drawn in a step.

    Such that batch_size of them are expected, or as many as make one pass in an epoch.
    """
    return (
        1 / steps_per_epoch(config, num_samples) if config.steps_per_epoch is None else config.batch_size / num_samples
    )


def planned_steps(config: TrainingConfig, num_samples: int) -> int:
    """Of all trainings of a run on the same samples: alone, if config.standalone, and with the peer."""
    once = config.epochs * steps_per_epoch(config, num_samples)
    return 2 * once if config.standalone else once


def planned_noise(config: TrainingConfig, dp: DpConfig, num_samples: int) -> float:
    """The noise multiplier with which planned_steps keep dp.

    Raises:
        ConfigError: as privacy.noise_multiplier.
    """
    return noise_multiplier(dp, sample_rate(config, num_samples), planned_steps(config, num_samples))


class PrivateTrainer(Trainer):
    """As Trainer, with config.dp.

    optimizer.gradient_clip has no part in it: gradients are shortened sample by sample.

    Args:
        noise_multiplier: s.
        key: secret, of this training alone; part of the state, so that a training that goes on repeats what it did and
            tells nothing new.
        stream: makes a stream from 32 bytes of key.

    Raises:
        ModelError: a layer mixes the samples of a batch, or there is nothing to train.
    """

    _is_private = True

    def __init__(
        self,
        *,
        model: nn.Module,
        train: Samples,
        config: TrainingConfig,
        device: torch.device,
        noise_multiplier: float,
        key: bytes,
        stream: Callable[[bytes], SecretStream],
        teacher: Teacher | None = None,
        on_step: Callable[[], None] | None = None,
        task: Task | TaskName = CLASSIFICATION,
        computing: Computing = ALONE,
    ) -> None:
        if config.dp is None:
            raise ValueError("a private training needs config.dp")
        _require_separate_samples(model)
        if not has_trainable(model):
            raise ModelError("training.dp: no parameter of the network can be trained; set training.dp=null for it")
        seed = int.from_bytes(hashlib.sha256(key + b"order").digest()[:8], "big") >> 1
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
        self._dp: DpConfig = config.dp
        self._noise_multiplier = noise_multiplier
        self._key, self._stream_of = key, stream
        self._rate = sample_rate(config, len(train))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "key": torch.frombuffer(bytearray(self._key), dtype=torch.uint8)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._key = bytes(state["key"].tolist())

    def _draw_batches(self) -> tuple[torch.Tensor, ...]:
        """Every sample with probability q in every step; a batch may be empty."""
        threshold = math.ceil(self._rate * 2**_UNIFORM_BITS)
        size = self._steps_per_epoch, len(self._targets)
        drawn_SN = self._stream("samples", self._model_step).bits(size, _UNIFORM_BITS) < threshold
        return tuple(drawn_N.nonzero().squeeze(1) for drawn_N in drawn_SN)

    def _step(self, positions_B: torch.Tensor) -> tuple[torch.Tensor, int]:
        parameters = {name: value for name, value in self._model.named_parameters() if value.requires_grad}
        sums_3, num_soft = torch.zeros(3, device=self._device), 0
        gradients = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        if len(positions_B) > 0:
            batch = self._batch(positions_B)
            if len(batch.targets) > 0:  # else all samples of a small batch are those of other processes
                sums_3, gradients = self._clipped(parameters, batch)
                num_soft = batch.num_soft
            flat = self._computing.total(torch.cat([gradient.flatten() for gradient in gradients.values()]))
            sizes = [gradient.numel() for gradient in gradients.values()]
            gradients = dict(zip(gradients, torch.split(flat, sizes), strict=True))
        noise = self._stream("noise", self._model_step)
        scale = self._noise_multiplier * self._dp.max_gradient_norm
        expected = self._rate * len(self._targets)
        for name, parameter in parameters.items():
            # Once: every process adds the same noise to the same sum.
            drawn = noise.normal(tuple(parameter.shape)).to(parameter)
            parameter.grad = (gradients[name].view_as(parameter) + scale * drawn) / expected
        self._advance()
        return sums_3, num_soft

    def _clipped(
        self, parameters: dict[str, nn.Parameter], batch: Batch
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss, distillation loss and hits, and the shortened gradients, each summed over the batch."""
        soft_BC, weight_B = batch.soft_of_each()
        of_one = grad_and_value(self._loss_of_one, has_aux=True)
        of_each = vmap(of_one, in_dims=(None, 0, 0, 0, 0), randomness="different")
        constants = {name: parameter.detach() for name, parameter in parameters.items()}
        gradients, (loss_B, (distillation_B, hit_B)) = of_each(
            constants, batch.inputs, batch.targets, soft_BC, weight_B
        )
        squares_PB = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients.values()])
        factor_B = (self._dp.max_gradient_norm / squares_PB.sum(0).sqrt().clamp(min=1e-12)).clamp(max=1.0)
        clipped = {name: torch.tensordot(factor_B, gradient, dims=1) for name, gradient in gradients.items()}
        return torch.stack([loss_B.sum(), distillation_B.sum(), hit_B.sum()]), clipped

    def _loss_of_one(
        self,
        parameters: dict[str, torch.Tensor],
        image: torch.Tensor,
        label: torch.Tensor,
        soft_C: torch.Tensor,
        weight: torch.Tensor,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        logits = functional_call(self._model, parameters, (image.unsqueeze(0),))
        terms = LossTerms(label_smoothing=self._config.label_smoothing)
        loss = self._task.loss(logits, label.unsqueeze(0), terms)
        soft_1C = soft_C.unsqueeze(0).expand_as(logits)
        distillation = self._task.distillation(logits, soft_1C, self._config.temperature, weight.unsqueeze(0))
        hit = self._task.hits(logits, label.unsqueeze(0)).to(logits)
        return loss + self._config.distillation_weight * distillation, (distillation.detach(), hit)

    def _stream(self, purpose: str, step: int) -> SecretStream:
        return self._stream_of(hashlib.sha256(self._key + f"{purpose}|{step}".encode()).digest())


def _require_separate_samples(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ModelError(
                f"training.dp: {name} ({type(module).__name__}) mixes the samples of a batch, so that the gradient of "
                "one cannot be bounded; choose a network without it, such as mlp, or for images small_convnet or lenet"
            )
