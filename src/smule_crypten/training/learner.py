"""A party as a learner: what it holds, how it trains, and how it judges its networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.models.fusion import fused
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import Evaluation, evaluate, predict_logits
from smule_crypten.training.self_mutual import SelfMutualTrainer
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import PredictionSource

_BATCH = 512


@dataclass(frozen=True, kw_only=True)
class Holding:
    """The samples of one party, normalised.

    train, validation and pool are disjoint; the labels of pool are -1. validation and pool may be empty.
    """

    train: Samples
    validation: Samples
    pool: Samples
    test: Samples

    @property
    def known(self) -> Samples:
        """All whose label the party knows."""
        return self.train.without_copies().with_others(self.validation.without_copies())

    @property
    def candidates(self) -> Samples:
        """All that the party may ask about."""
        parts = [part.without_copies() for part in (self.train, self.pool, self.validation)]
        return parts[0].with_others(parts[1]).with_others(parts[2])


PrivateTrainers = Callable[[nn.Module, Teacher | None, Callable[[], None] | None], Trainer]
"""Makes the trainers of a party under training.dp: of a model, alone or with a teacher; on_step as of Trainer."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """One party: the same for a process of its own and for both parties in one process.

    name: "a" or "b". build: from 0 to its network, always with the same initial weights, and from the number of a copy
    to the same network with others. seed: of everything random in its training. private: needed under training.dp.
    """

    name: str
    holding: Holding
    training: TrainingConfig
    num_classes: int
    build: Callable[[int], nn.Module]
    seed: int
    device: torch.device
    private: PrivateTrainers | None = None

    def network(self, copy: int = 0) -> nn.Module:
        """Anew, with its initial weights, on the device."""
        return self.build(copy).to(self.device)

    def trainer(
        self, model: nn.Module, teacher: Teacher | None = None, on_step: Callable[[], None] | None = None
    ) -> Trainer:
        """Of model, with a teacher or alone; training.self_mutual applies with a teacher only."""
        if self.private is not None:
            return self.private(model, teacher, on_step)
        kind: Callable[..., Trainer] = Trainer
        if self.training.self_mutual and teacher is not None:
            kind = partial(SelfMutualTrainer, copy=self.network(copy=1))
        return kind(
            model=model,
            train=self.holding.train,
            config=self.training,
            seed=self.seed,
            device=self.device,
            teacher=teacher,
            on_step=on_step,
        )

    def taught_trainer(
        self, model: nn.Module, answers: PredictionSource, finished: nn.Module | None, on_step: Callable[[], None]
    ) -> Trainer:
        """Of model, which also learns from the peer's answers and, where there is one, the own finished network."""
        teacher = Teacher(
            answers,
            train=self.holding.train,
            pool=self.holding.pool,
            validation=self.holding.validation,
            own=None if finished is None else self._own_answers(finished),
            config=self.training,
            seed=self.seed,
            device=self.device,
        )
        return self.trainer(model, teacher, on_step)

    def test_accuracy(self, model: nn.Module) -> float:
        """0 to 1, on the party's test samples."""
        return self._evaluated(model, self.holding.test).accuracy

    def offer(self, model: nn.Module, model_step: int, name: str, best: BestNetwork) -> None:
        """Let best judge model by the validation part, where training.keep says so and there is one."""
        validation = self.holding.validation
        if self.training.keep == "best" and len(validation) > 0:
            counts_C = validation.class_counts(self.num_classes)
            best.offer(model, self._evaluated(model, validation), counts_C, name, model_step)

    def restored(self, best: BestNetwork, model: nn.Module, accuracy: float) -> float:
        """Put the best weights back; returns the test accuracy, which is `accuracy` where nothing was kept."""
        if not best.name:
            return accuracy
        best.restore(model)
        return self.test_accuracy(model)

    def _own_answers(self, finished: nn.Module) -> OwnAnswers | None:
        """What the finished network says of samples that it was not trained on."""
        unseen = self.holding.validation.with_others(self.holding.pool)
        if len(unseen) == 0:
            return None
        logits_NC = predict_logits(fused(finished), unseen.inputs, _BATCH, self.device)
        return OwnAnswers(unseen.sample_ids, logits_NC)

    def _evaluated(self, model: nn.Module, images: Samples) -> Evaluation:
        return evaluate(fused(model), images, self.num_classes, device=self.device)
