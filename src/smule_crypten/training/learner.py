"""A party as a learner: what it holds, how it trains, and how it judges its networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.models.fusion import fused
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.evaluation import Evaluated, evaluated
from smule_crypten.tasks.metrics import Prediction
from smule_crypten.tasks.task import Task
from smule_crypten.tasks.thresholds import picked_thresholds
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.computing import Computing
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import Evaluation, Outcome, evaluate, predict_samples
from smule_crypten.training.self_mutual import SelfMutualTrainer
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import PredictionSource

_BATCH = 512


@dataclass(frozen=True, kw_only=True)
class Holding:
    """The samples of one party, normalised.

    train, validation and pool are disjoint; the targets of pool are unknown. validation and pool may be empty. public:
    samples that both parties have, of unknown targets; None where they ask about none.
    """

    train: Samples
    validation: Samples
    pool: Samples
    test: Samples
    public: Samples | None = None

    @property
    def known(self) -> Samples:
        """All whose label the party knows."""
        return self.train.without_copies().with_others(self.validation.without_copies())

    @property
    def unlabelled(self) -> Samples:
        """All that is learned from by soft labels alone: the pool, and public samples."""
        return self.pool if self.public is None else self.pool.with_others(self.public)

    @property
    def candidates(self) -> Samples:
        """All that the party may ask about and show nobody."""
        parts = [part.without_copies() for part in (self.train, self.pool, self.validation)]
        return parts[0].with_others(parts[1]).with_others(parts[2])

    @property
    def answerable_ids(self) -> torch.Tensor:
        """(N,) int64: of all samples that the peer may say something about."""
        own = self.candidates.sample_ids
        return own if self.public is None else torch.cat([own, self.public.sample_ids])


PrivateTrainers = Callable[..., Trainer]
"""Makes the trainers of a party under training.dp: model, teacher, on_step, device and computing as of Trainer."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """One party: the same for a process of its own and for both parties in one process.

    name: "a" or "b". build: from 0 to its network, always with the same initial weights, and from the number of a copy
    to the same network with others. seed: of everything random in its training. private: needed under training.dp.
    computing: how the steps of each of its trainers are computed.
    """

    name: str
    holding: Holding
    training: TrainingConfig
    num_classes: int
    build: Callable[[int], nn.Module]
    seed: int
    device: torch.device
    private: PrivateTrainers | None = None
    task: Task = CLASSIFICATION
    computing: Callable[[], Computing] = Computing

    def network(self, copy: int = 0) -> nn.Module:
        """Anew, with its initial weights, on the device."""
        return self.build(copy).to(self.device)

    def trainer(
        self, model: nn.Module, teacher: Teacher | None = None, on_step: Callable[[], None] | None = None
    ) -> Trainer:
        """Of model, with a teacher or alone; training.self_mutual applies with a teacher only."""
        if self.private is not None:
            return self.private(
                model=model, teacher=teacher, on_step=on_step, device=self.device, computing=self.computing()
            )
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
            task=self.task,
            computing=self.computing(),
        )

    def taught_trainer(
        self,
        model: nn.Module,
        answers: PredictionSource,
        finished: nn.Module | None,
        on_step: Callable[[], None],
        head: OwnAnswers | None = None,
    ) -> Trainer:
        """Of model, which also learns from the peer's answers and, where there are such, own network and joint head."""
        teacher = Teacher(
            answers,
            train=self.holding.train,
            pool=self.holding.pool,
            public=self.holding.public,
            validation=self.holding.validation,
            own=None if finished is None else self.own_answers(finished),
            head=head,
            config=self.training,
            seed=self.seed,
            device=self.device,
            task=self.task,
        )
        return self.trainer(model, teacher, on_step)

    def test(self, model: nn.Module) -> Outcome:
        """On the party's test samples."""
        result = self._evaluated(model, self.holding.test)
        return Outcome(accuracy=result.accuracy, score=result.score)

    def evaluated(self, model: nn.Module) -> Evaluated:
        """All figures on the party's test samples; thresholds are picked on its validation part."""
        prediction = self._prediction(model, self.holding.test)
        thresholds_C = picked_thresholds(self._prediction(model, self.holding.validation))
        return evaluated(replace(prediction, thresholds_C=thresholds_C))

    def offer(self, model: nn.Module, model_step: int, name: str, best: BestNetwork) -> None:
        """Let best judge model by the validation part, where training.keep says so and there is one."""
        validation = self.holding.validation
        if self.training.keep == "best" and len(validation) > 0:
            outputs_NC = predict_samples(fused(model), validation, _BATCH, self.device)
            best.offer(model, *self.task.judged(outputs_NC, validation.targets.cpu()), name, model_step)

    def restored(self, best: BestNetwork, model: nn.Module, tested: Outcome) -> Outcome:
        """Put the best weights back; returns what they do on the test samples: `tested` where nothing was kept."""
        if not best.name:
            return tested
        best.restore(model)
        return self.test(model)

    def own_answers(self, finished: nn.Module) -> OwnAnswers | None:
        """What the finished network says of samples that it was not trained on."""
        unseen = self.holding.validation.with_others(self.holding.pool)
        if len(unseen) == 0:
            return None
        logits_NC = predict_samples(fused(finished), unseen, _BATCH, self.device)
        return OwnAnswers(unseen.sample_ids, logits_NC)

    def _prediction(self, model: nn.Module, samples: Samples) -> Prediction:
        outputs_NC = torch.empty(0, self.num_classes)
        if len(samples) > 0:
            outputs_NC = predict_samples(fused(model), samples, _BATCH, self.device)
        return self.task.prediction(outputs_NC, samples.targets)

    def _evaluated(self, model: nn.Module, images: Samples) -> Evaluation:
        return evaluate(fused(model), images, self.num_classes, device=self.device, task=self.task)
