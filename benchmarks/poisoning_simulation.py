"""Both parties in one process, in plaintext, with the project's own trainer, cache, alarm and attacks.

Party a is honest, party b is the adversary. Nothing here protects anything; it shows what is learned, fast.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch import nn

from smule_crypten.attacks.attack import Attack
from smule_crypten.attacks.table import make_attack
from smule_crypten.config import (
    AlarmName,
    AttackConfig,
    DataConfig,
    ModelConfig,
    PartitionConfig,
    TrainingConfig,
    TrustName,
)
from smule_crypten.data.datasets import load_data
from smule_crypten.data.images import LabelledImages
from smule_crypten.data.partition import split
from smule_crypten.exchange.cache import SoftLabelCache
from smule_crypten.exchange.knowledge import OwnKnowledge
from smule_crypten.exchange.queries import QueryPlan
from smule_crypten.exchange.schedule import exchange_epochs
from smule_crypten.exchange_config import ExchangeConfig
from smule_crypten.models.zoo import build_model
from smule_crypten.processes.watching import Watchman
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import centred

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Setting:
    data: DataConfig
    partition: PartitionConfig
    model: ModelConfig
    training: TrainingConfig
    exchange: ExchangeConfig
    validation: float = 0.1


@dataclass(kw_only=True)
class Problem:
    """Data of party a and party b of one seed, normalised; attack is party b's, and already in its data."""

    setting: Setting
    seed: int
    train: list[LabelledImages]
    validation: list[LabelledImages]
    test: LabelledImages
    num_classes: int
    attack: Attack

    @classmethod
    def load(cls, setting: Setting, seed: int, attack: AttackConfig) -> Problem:
        bundle = load_data(setting.data)
        held = split(bundle.train.labels_N, setting.partition, bundle.num_classes, seed)
        train, validation = [], []
        for rank, positions in enumerate(held):
            generator = torch.Generator().manual_seed(2 * seed + rank)
            order = positions[torch.randperm(len(positions), generator=generator)]
            count = round(setting.validation * len(order))
            parts = (
                bundle.train.select(p).normalized(setting.data.mean, setting.data.std)
                for p in (order[count:], order[:count])
            )
            train.append(next(parts))
            validation.append(next(parts))
        adversary = make_attack(attack, train[1], bundle.num_classes, 2 * seed + 1)
        train[1] = adversary.poisoned(train[1])
        test = bundle.test.normalized(setting.data.mean, setting.data.std)
        return cls(
            setting=setting,
            seed=seed,
            train=train,
            validation=validation,
            test=test,
            num_classes=bundle.num_classes,
            attack=adversary,
        )

    def network(self, rank: int) -> nn.Module:
        shape = self.test.images_NCHW.shape[1:]
        return build_model(self.setting.model, tuple(shape), self.num_classes, 2 * self.seed + rank)

    def trainer(self, rank: int, model: nn.Module, teacher: Teacher | None = None) -> Trainer:
        seed = 2 * self.seed + rank
        config = self.setting.training
        return Trainer(model=model, train=self.train[rank], config=config, seed=seed, device=CPU, teacher=teacher)

    def teacher(self, rank: int, cache: SoftLabelCache, own: nn.Module, trust: TrustName) -> Teacher:
        """own: the party's network, trained alone."""
        held_out = self.validation[rank]
        answers = OwnAnswers(held_out.sample_ids_N, predict_logits(own, held_out.images_NCHW, 512, CPU))
        return Teacher(
            cache,
            train=self.train[rank],
            pool=None,
            validation=held_out,
            own=answers,
            config=self.setting.training.model_copy(update={"trust": trust}),
            seed=2 * self.seed + rank,
            device=CPU,
        )

    def query_plan(self, rank: int) -> QueryPlan:
        train = self.train[rank]
        no_pool = train.select(torch.arange(0))
        return QueryPlan(train, no_pool, self.validation[rank], self.setting.exchange.queries, 2 * self.seed + rank)

    @cached_property
    def alone(self) -> list[nn.Module]:
        """Both parties' networks, each trained on its own samples; also the own teachers of mutual learning."""
        models = [self.network(rank) for rank in (0, 1)]
        for rank, model in enumerate(models):
            _run(self.trainer(rank, model), self.setting.training.epochs)
        return models

    def measured(self, model: nn.Module) -> dict[str, float | None]:
        """Accuracy on the clean test images, and the success of the attack."""
        logits_NC = predict_logits(model, self.test.images_NCHW, 512, CPU)
        accuracy = float((logits_NC.argmax(1) == self.test.labels_N).double().mean())
        success = self.attack.success(lambda images: predict_logits(model, images, 512, CPU), self.test)
        return {"accuracy": accuracy, "success": success}


@dataclass(kw_only=True)
class Outcome:
    """Networks of party a and party b, and the alarms of party a."""

    models: list[nn.Module]
    alarms: list[dict[str, Any]] = field(default_factory=list)
    num_exchanges: int = 0


def alone(problem: Problem) -> Outcome:
    return Outcome(models=problem.alone)


def pooled(problem: Problem) -> Outcome:
    """What full MPC training computes: one network on the data of both."""
    both = copy.copy(problem)
    both.train = [problem.train[0].with_others(problem.train[1])]
    model = problem.network(0)
    _run(both.trainer(0, model), problem.setting.training.epochs)
    return Outcome(models=[model, model])


def fedavg(problem: Problem) -> Outcome:
    """Each epoch both go on from the mean of their weights; the adversary sends what it would answer with."""
    models = [problem.network(0), problem.network(0)]
    trainers = [problem.trainer(rank, model) for rank, model in enumerate(models)]
    for epoch in range(1, problem.setting.training.epochs + 1):
        for trainer in trainers:
            trainer.run_epoch()
        sent = [models[0].state_dict(), problem.attack.answering(models[1], epoch).state_dict()]
        mean = {name: (tensor + sent[1][name]) / 2 for name, tensor in sent[0].items()}
        for model in models:
            model.load_state_dict(mean)
    return Outcome(models=models)


def smule(problem: Problem, trust: TrustName, alarm: AlarmName = "off") -> Outcome:
    """Mutual learning; party b always learns with trust "none" and without an alarm."""
    setting, epochs = problem.setting, problem.setting.training.epochs
    models = [problem.network(rank) for rank in (0, 1)]
    known = [problem.train[rank].with_others(problem.validation[rank]) for rank in (0, 1)]
    caches = [SoftLabelCache(samples.sample_ids_N, problem.num_classes) for samples in known]
    rules: tuple[TrustName, TrustName] = (trust, "none")
    teachers = [problem.teacher(rank, caches[rank], problem.alone[rank], rules[rank]) for rank in (0, 1)]
    trainers = [problem.trainer(rank, models[rank], teachers[rank]) for rank in (0, 1)]
    plans = [problem.query_plan(rank) for rank in (0, 1)]
    knowledge = [OwnKnowledge(models[rank], partial(_found, known[rank]), caches[rank]) for rank in (0, 1)]
    # As exchange.answer_with says: the finished networks, or those in training.
    answering = problem.alone if setting.exchange.answer_with == "best" else models
    due = exchange_epochs(setting.exchange, epochs)
    watchman = Watchman(alarm, known[0], problem.num_classes, len(due))
    for epoch in range(1, epochs + 1):
        if epoch in due:
            number = due.index(epoch) + 1
            networks = [answering[0], problem.attack.answering(answering[1], number)]
            for rank in (0, 1):
                sample_ids = plans[rank].next(setting.exchange.num_queries, knowledge[rank]).sample_ids
                images_NCHW = _found(known[rank], sample_ids).images_NCHW
                logits_NC = centred(predict_logits(networks[1 - rank], images_NCHW, 512, CPU))
                caches[rank].store(sample_ids, logits_NC, number)
                if rank == 0:
                    alarms = watchman.check(number, sample_ids, logits_NC)
                    watchman.quarantine(number, epoch, alarms, caches[0].forget, trainers[0], BestNetwork())
        for trainer in trainers:
            trainer.run_epoch()
    return Outcome(models=models, alarms=watchman.alarms, num_exchanges=len(due))


def _found(samples: LabelledImages, sample_ids: torch.Tensor) -> LabelledImages:
    order = samples.sample_ids_N.argsort()
    return samples.select(order[torch.searchsorted(samples.sample_ids_N[order], sample_ids)])


def _run(trainer: Trainer, epochs: int) -> None:
    for _ in range(epochs):
        trainer.run_epoch()
