"""What a party can do without any peer: the local controls, against which a gain by mutual learning is measured.

Each trains the same network on the same data, with the same schedule and number of steps as the party does alone. A
gain that a control has as well is regularization, and no knowledge of the peer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.models.fusion import fused
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.training.self_mutual import SelfMutualTrainer
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import SoftLabels

LABEL_SMOOTHING = 0.1
_BATCH = 512


@dataclass(frozen=True, kw_only=True)
class LocalTraining:
    """With what a party trains alone; samples are normalised, the pool may be empty."""

    train: LabelledImages
    pool: LabelledImages
    config: TrainingConfig
    seed: int
    device: torch.device

    def label_smoothing(self, model: nn.Module) -> Trainer:
        """Labels mixed with the uniform distribution, LABEL_SMOOTHING of it."""
        return self._trainer(model, self.config.model_copy(update={"label_smoothing": LABEL_SMOOTHING}))

    def self_mutual(self, model: nn.Module, copy: nn.Module) -> Trainer:
        """Deep mutual learning with a copy that has other initial weights, with weight 1."""
        return SelfMutualTrainer(
            model=model, copy=copy, train=self.train, config=self.config, seed=self.seed, device=self.device
        )

    def self_distillation(self, model: nn.Module, finished: nn.Module) -> Trainer:
        """What the party's own finished network says of its labelled samples and of its pool joins the labels."""
        config = self.config.model_copy(update={"teacher": "ensemble", "unasked_share": 1.0, "trust": "none"})
        everything = self.train.with_others(self.pool)
        logits_NC = predict_logits(fused(finished.to(self.device)), everything.images_NCHW, _BATCH, self.device)
        teacher = Teacher(
            _NoPeer(),
            train=self.train,
            pool=self.pool,
            validation=None,
            own=OwnAnswers(everything.sample_ids_N, logits_NC),
            config=config,
            seed=self.seed,
            device=self.device,
        )
        return self._trainer(model, config, teacher)

    def _trainer(self, model: nn.Module, config: TrainingConfig, teacher: Teacher | None = None) -> Trainer:
        return Trainer(
            model=model, train=self.train, config=config, seed=self.seed, device=self.device, teacher=teacher
        )


class _NoPeer:
    """A PredictionSource that knows nothing."""

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        return None
