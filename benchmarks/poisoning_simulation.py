"""Both parties in one process, in plaintext, with the project's own trainer, cache, alarm and attacks.

Party a is honest, party b is the adversary. Both train as party/mutual_training.py does: first alone, then with the
peer, answering with the best network so far. Nothing here protects anything; it shows what is learned, fast.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from learning_simulation import Fast
from torch import nn

from smule_crypten.attacks.attack import Attack
from smule_crypten.attacks.table import make_attack
from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.sections import (
    AlarmName,
    AttackConfig,
    DataConfig,
    ModelConfig,
    PartitionConfig,
    TrainingConfig,
    TrustName,
)
from smule_crypten.data.images import DataBundle, LabelledImages
from smule_crypten.data.partition import split
from smule_crypten.files import write_atomic
from smule_crypten.models.zoo import build_model
from smule_crypten.mutual_learning.cache import SoftLabelCache
from smule_crypten.mutual_learning.queries import QueryPlan
from smule_crypten.mutual_learning.schedule import exchange_epochs
from smule_crypten.mutual_learning.watching import Watchman
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import evaluate, predict_logits
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import centred

CPU = torch.device("cpu")
_BATCH = 1000
_DATA_ATTACKS = ("label_flip", "backdoor")
"""Those that change what the adversary trains on."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """only_honest: party b answers with its network trained alone and does not train on, which halves the time. kept:
    folder for networks trained alone, which are the same under many attacks; None trains them anew."""

    data: DataConfig
    partition: PartitionConfig
    model: ModelConfig
    training: TrainingConfig
    exchange: ExchangeConfig
    validation: float
    bfloat16: bool = False
    only_honest: bool = False
    kept: Path | None = None


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
    data_of_b: str

    @classmethod
    def load(cls, setting: Setting, bundle: DataBundle, seed: int, attack: AttackConfig) -> Problem:
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
            data_of_b=_name_of_data(attack),
        )

    def network(self, rank: int) -> nn.Module:
        shape = self.test.images_NCHW.shape[1:]
        model = build_model(self.setting.model, tuple(shape), self.num_classes, 2 * self.seed + rank)
        return Fast(model, self.setting.bfloat16)

    def trainer(self, rank: int, model: nn.Module, teacher: Teacher | None = None) -> Trainer:
        seed = 2 * self.seed + rank
        config = self.setting.training
        return Trainer(model=model, train=self.train[rank], config=config, seed=seed, device=CPU, teacher=teacher)

    def teacher(self, rank: int, cache: SoftLabelCache, own: nn.Module, trust: TrustName) -> Teacher:
        """own: the party's network, trained alone."""
        held_out = self.validation[rank]
        answers = OwnAnswers(held_out.sample_ids_N, predict_logits(own, held_out.images_NCHW, _BATCH, CPU))
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
        known_fraction, seed = self.setting.exchange.queries.known_fraction, 2 * self.seed + rank
        return QueryPlan(train, no_pool, self.validation[rank], known_fraction, seed)

    @cached_property
    def alone(self) -> list[nn.Module]:
        """Both parties' best networks, each trained on its own samples; also the own teachers of mutual learning."""
        models = [self.network(rank) for rank in (0, 1)]
        for rank, model in enumerate(models):
            self.best_alone(rank).restore(model)
        return models

    def best_alone(self, rank: int) -> BestNetwork:
        """What the party has before it meets its peer."""
        best, path = BestNetwork(), None
        if self.setting.kept is not None:
            path = self.setting.kept / f"alone_{'ab'[rank]}_{self.data_of_b if rank else 'clean'}_{self.seed}.pt"
        if path is not None and path.exists():
            best.load_state_dict(torch.load(path, weights_only=True))
            return best
        model = self.network(rank)
        self.train_alone(self.trainer(rank, model), model, rank, best)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, lambda file: torch.save(best.state_dict(), file))
        return best

    def train_alone(self, trainer: Trainer, model: nn.Module, rank: int, best: BestNetwork) -> None:
        """All epochs, each offered to best, which is judged by the validation part of this party."""
        for epoch in range(1, self.setting.training.epochs + 1):
            trainer.run_epoch()
            self.offer(best, model, rank, f"alone, epoch {epoch}", trainer)

    def offer(self, best: BestNetwork, model: nn.Module, rank: int, name: str, trainer: Trainer) -> None:
        """As training.keep=best does."""
        held_out = self.validation[rank]
        judged = evaluate(model, held_out, self.num_classes, batch_size=_BATCH, device=CPU)
        best.offer(model, judged, held_out.class_counts(self.num_classes), name, trainer.model_step)

    def measured(self, model: nn.Module) -> dict[str, float | None]:
        """Accuracy on the clean test images, and the success of the attack."""
        logits_NC = predict_logits(model, self.test.images_NCHW, _BATCH, CPU)
        accuracy = float((logits_NC.argmax(1) == self.test.labels_N).double().mean())
        success = self.attack.success(lambda images: predict_logits(model, images, _BATCH, CPU), self.test)
        return {"accuracy": accuracy, "success": success}


@dataclass(kw_only=True)
class Outcome:
    """Networks of party a and party b, what party a's is called (empty where there was no choice), the alarms of party
    a, and of each exchange what each party asked about and the other one's own network."""

    models: list[nn.Module]
    kept: str = ""
    alarms: list[dict[str, Any]] = field(default_factory=list)
    exchanges: list[list[tuple[torch.Tensor, nn.Module]]] = field(default_factory=list)


def alone(problem: Problem) -> Outcome:
    return Outcome(models=problem.alone)


def pooled(problem: Problem) -> Outcome:
    """What full MPC training computes: one network on the data of both; party a keeps the best one it sees."""
    both = copy.copy(problem)
    both.train = [problem.train[0].with_others(problem.train[1])]
    model, best = problem.network(0), BestNetwork()
    problem.train_alone(both.trainer(0, model), model, 0, best)
    best.restore(model)
    return Outcome(models=[model, model])


def fedavg(problem: Problem) -> Outcome:
    """Each epoch both go on from the mean of their weights; the adversary sends what it would answer with."""
    models = [problem.network(0), problem.network(0)]
    trainers = [problem.trainer(rank, model) for rank, model in enumerate(models)]
    best = BestNetwork()
    for epoch in range(1, problem.setting.training.epochs + 1):
        for trainer in trainers:
            trainer.run_epoch()
        sent = [models[0].state_dict(), problem.attack.answering(models[1], epoch).state_dict()]
        mean = {name: (tensor + sent[1][name]) / 2 for name, tensor in sent[0].items()}
        for model in models:
            model.load_state_dict(mean)
        problem.offer(best, models[0], 0, f"average, epoch {epoch}", trainers[0])
    best.restore(models[0])
    return Outcome(models=models)


def smule(problem: Problem, trust: TrustName, alarm: AlarmName = "off") -> Outcome:
    """Mutual learning; party b always learns with trust "none" and without an alarm."""
    return _Mutual(problem, trust, alarm).run()


class _Mutual:
    """As party/mutual_training.py, both parties in step."""

    def __init__(self, problem: Problem, trust: TrustName, alarm: AlarmName) -> None:
        self._problem = problem
        self._models = [problem.network(rank) for rank in (0, 1)]
        self._known = [problem.train[rank].with_others(problem.validation[rank]) for rank in (0, 1)]
        self._caches = [SoftLabelCache(samples.sample_ids_N, problem.num_classes) for samples in self._known]
        self._bests = [problem.best_alone(rank) for rank in (0, 1)]
        rules: tuple[TrustName, TrustName] = (trust, "none")
        teachers = [problem.teacher(rank, self._caches[rank], problem.alone[rank], rules[rank]) for rank in (0, 1)]
        self._trainers = [problem.trainer(rank, self._models[rank], teachers[rank]) for rank in (0, 1)]
        self._plans = [problem.query_plan(rank) for rank in (0, 1)]
        self._due = exchange_epochs(problem.setting.exchange, problem.setting.training.epochs)
        self._watchman = Watchman(alarm, self._known[0], problem.num_classes, len(self._due))
        self._exchanges: list[list[tuple[torch.Tensor, nn.Module]]] = []
        self._training = (0,) if problem.setting.only_honest else (0, 1)

    def run(self) -> Outcome:
        for epoch in range(1, self._problem.setting.training.epochs + 1):
            if epoch in self._due:
                self._exchange(self._due.index(epoch) + 1, epoch)
            for rank in self._training:
                self._trainers[rank].run_epoch()
                name = f"smule, epoch {epoch}"
                self._problem.offer(self._bests[rank], self._models[rank], rank, name, self._trainers[rank])
        for best, model in zip(self._bests, self._models, strict=True):
            best.restore(model)
        return Outcome(
            models=self._models,
            kept=self._bests[0].name,
            alarms=self._watchman.alarms,
            exchanges=self._exchanges,
        )

    def _exchange(self, number: int, epoch: int) -> None:
        own = [self._answering(rank) for rank in (0, 1)]
        answering = [own[0], self._problem.attack.answering(own[1], number)]
        questions = [self._ask(rank, answering[1 - rank]) for rank in (0, 1)]
        self._exchanges.append([(questions[rank][0], own[1 - rank]) for rank in (0, 1)])
        alarms = self._watchman.check(number, *questions[0])
        self._watchman.quarantine(number, epoch, alarms, self._caches[0].forget, self._trainers[0], self._bests[0])

    def _ask(self, rank: int, network: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        """What the party asks about, and the answers of network."""
        sample_ids = self._plans[rank].next(self._problem.setting.exchange.num_queries)
        images_NCHW = found(self._known[rank], sample_ids).images_NCHW
        logits_NC = centred(predict_logits(network, images_NCHW, _BATCH, CPU))
        self._caches[rank].store(sample_ids, logits_NC, self._bests[1 - rank].model_step)
        return sample_ids, logits_NC

    def _answering(self, rank: int) -> nn.Module:
        """The best network so far."""
        model = self._problem.network(rank)
        self._bests[rank].restore(model)
        return model


def _name_of_data(attack: AttackConfig) -> str:
    """Of party b's samples: the same for attacks that leave them alone."""
    if attack.name not in _DATA_ATTACKS:
        return "clean"
    return "_".join([attack.name, *(f"{key}={value}" for key, value in attack.options.items())])


def found(samples: LabelledImages, sample_ids: torch.Tensor) -> LabelledImages:
    order = samples.sample_ids_N.argsort()
    return samples.select(order[torch.searchsorted(samples.sample_ids_N[order], sample_ids)])
