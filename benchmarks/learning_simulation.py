"""Both parties of a run in one process: the project's trainer, teacher, queries and cache, without the secure part.

The answers are plain logits of the network that would answer. Bytes are exact all the same: a scheme's cost_of needs
only architectures and counts. benchmarks/learning.py compares such a run with a real one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from answer_options import Option
from learning_settings import Holding, Setting
from torch import nn

from smule_crypten.config.sections import AugmentationConfig, SchemeConfig, TrainingConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.fusion import fused
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.mutual_learning.cache import SoftLabelCache
from smule_crypten.mutual_learning.planner import CONTROL_BYTES
from smule_crypten.mutual_learning.queries import QueryPlan
from smule_crypten.training.class_shares import rule_for
from smule_crypten.training.combination import Rule
from smule_crypten.training.controls import LocalTraining
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import evaluate, predict_logits
from smule_crypten.training.self_mutual import SelfMutualTrainer
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer

CPU = torch.device("cpu")
_BATCH = 1000
_OTHER_SEED = 10**6
_KNOWN_FRACTION = 0.05
"""Of the queries, those that judge the peer; exchange.queries.known_fraction is 0.1 as delivered."""


class Fast(nn.Module):
    """The same network, convolutions and poolings fused and, if asked for, with products in bfloat16."""

    def __init__(self, network: nn.Module, bfloat16: bool) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self._fused = fused(network)
        self._bfloat16 = bfloat16

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        images_NCHW = images_NCHW.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._bfloat16 and self.training):
            return self._fused(images_NCHW).float()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one exchange: bytes of both parties together."""

    online_bytes: int
    all_bytes: int


class Pair:
    """What both parties hold, and everything that can be trained on it."""

    def __init__(
        self, setting: Setting, holdings: tuple[Holding, Holding], test: LabelledImages, num_classes: int, seed: int
    ) -> None:
        self.setting, self.holdings, self.test, self.num_classes = setting, holdings, test, num_classes
        self._seed = seed
        self._input_shape = tuple(test.images_NCHW.shape[1:])
        self.bfloat16 = False
        self.option: Option = lambda logits: logits
        """What is done to answers before the other party sees them."""

    def seed(self, rank: int) -> int:
        return 2 * self._seed + rank

    def network(self, rank: int, *, offset: int = 0) -> Fast:
        channels, height, width = self._input_shape
        shape = channels, height, width
        model = build_model(self.setting.model(rank), shape, self.num_classes, self.seed(rank) + offset)
        return Fast(model, self.bfloat16)

    def config(self, **changes: object) -> TrainingConfig:
        setting = self.setting
        augmentation = AugmentationConfig(crop=4, flip=True) if setting.augmented else AugmentationConfig()
        values = {
            "epochs": setting.epochs,
            "steps_per_epoch": setting.steps_per_epoch,
            "batch_size": setting.batch_size,
            "augmentation": augmentation,
            "balanced_softmax": setting.balanced_softmax,
        }
        return TrainingConfig.model_validate(values | changes)

    def alone(self, rank: int, train: LabelledImages | None = None, **changes: object) -> nn.Module:
        model = self.network(rank)
        data = self.holdings[rank].train if train is None else train
        trainer = Trainer(model=model, train=data, config=self.config(**changes), seed=self.seed(rank), device=CPU)
        for _ in range(self.setting.epochs):
            trainer.run_epoch()
        return model

    def control(self, name: str, rank: int, finished: nn.Module) -> nn.Module:
        """A local control (training/controls.py) on this party's samples. finished: the network trained alone."""
        own, model = self.holdings[rank], self.network(rank)
        local = LocalTraining(train=own.train, pool=own.pool, config=self.config(), seed=self.seed(rank), device=CPU)
        trainer = {
            "label_smoothing": lambda: local.label_smoothing(model),
            "self_mutual": lambda: local.self_mutual(model, self.network(rank, offset=_OTHER_SEED)),
            "self_distillation": lambda: local.self_distillation(model, finished),
        }[name]()
        for _ in range(self.setting.epochs):
            trainer.run_epoch()
        return model

    def accuracy(self, model: nn.Module) -> float:
        return 100 * evaluate(model, self.test, self.num_classes, batch_size=_BATCH, device=CPU).accuracy

    def logits(self, model: nn.Module, images: LabelledImages) -> torch.Tensor:
        return self._answers(model, images.images_NCHW)

    def _answers(self, model: nn.Module, images_NCHW: torch.Tensor) -> torch.Tensor:
        if len(images_NCHW) == 0:
            return torch.zeros(0, self.num_classes)
        return predict_logits(model, images_NCHW, _BATCH, CPU)

    def _told(self, model: nn.Module, images_NCHW: torch.Tensor) -> torch.Tensor:
        """The answers of the peer's network, as this party sees them."""
        return self.option(self._answers(model, images_NCHW))

    def cost(self, queries: tuple[int, int], scheme: SchemeConfig) -> Cost:
        """Of one exchange in which party a and party b ask so much."""
        online, dealer = CONTROL_BYTES, 0
        channels, height, width = self._input_shape
        for rank, asked_by_peer in enumerate(reversed(queries)):
            architecture = translate(self.network(rank).network, (channels, height, width)).architecture
            cost = scheme_class(scheme.name).cost_of(architecture, asked_by_peer, scheme, dealt=True)
            online += cost.model_owner.bytes_total
            dealer += cost.model_owner.dealer_bytes + cost.data_owner.dealer_bytes
        return Cost(online_bytes=online, all_bytes=online + dealer)

    def queries_for(self, budget_bytes: int, scheme: SchemeConfig) -> tuple[int, int]:
        """The most queries of both parties that an exchange of so many bytes, dealer included, pays for."""
        low, high = 0, 1 << 16
        while high - low > 1:
            middle = (low + high) // 2
            fits = self.cost(self._shared(middle), scheme).all_bytes <= budget_bytes
            low, high = (middle, high) if fits else (low, middle)
        return self._shared(low)

    def _shared(self, total: int) -> tuple[int, int]:
        of_a = round(total * self.setting.share_a)
        return of_a, total - of_a

    def mutual(
        self,
        answering: tuple[nn.Module, nn.Module],
        queries: tuple[int | None, int | None],
        config: TrainingConfig,
    ) -> list[nn.Module]:
        """The students of the measured parties. answering: the finished networks, which answer and are own teachers.

        Args:
            queries: of each party in each epoch; None for all samples at once.
        """
        students: list[nn.Module] = []
        for rank in self.setting.ranks:
            own = self.holdings[rank]
            unseen = own.validation.with_others(own.pool)
            everything = own.train.with_others(unseen)
            answers = OwnAnswers(everything.sample_ids_N, self._told(answering[1 - rank], everything.images_NCHW))
            cache = SoftLabelCache(everything.sample_ids_N, self.num_classes)
            plan = QueryPlan(own.train, own.pool, own.validation, _KNOWN_FRACTION, seed=self.seed(rank))
            teacher = Teacher(
                cache,
                train=own.train,
                pool=own.pool,
                validation=own.validation,
                own=OwnAnswers(unseen.sample_ids_N, self.logits(answering[rank], unseen)),
                config=config,
                seed=self.seed(rank),
                device=CPU,
            )
            model = self.network(rank)
            kind: Callable[..., Trainer] = Trainer
            if config.self_mutual:
                kind = partial(SelfMutualTrainer, copy=self.network(rank, offset=_OTHER_SEED))
            trainer = kind(
                model=model, train=own.train, config=config, seed=self.seed(rank), device=CPU, teacher=teacher
            )
            for _ in range(config.epochs):
                if queries[rank] != 0:
                    asked = plan.next(queries[rank])
                    cache.store(asked, answers.of(asked)[1], model_step=0)
                trainer.run_epoch()
            students.append(model)
        return students

    def _rule(self, rank: int) -> Rule:
        """As smule-predict."""
        return rule_for(self.holdings[rank].train, self.num_classes, balanced=self.setting.balanced_softmax)

    def joint(self, rank: int, own: nn.Module, peer: nn.Module) -> float:
        """Accuracy of both networks together at prediction time, weighted by the validation part of the party."""
        held_out, rule = self.holdings[rank].validation, self._rule(rank)
        told = self._told(peer, held_out.images_NCHW)
        combined = rule(self.logits(own, held_out), told, held_out.labels_N)
        both = combined.probabilities(self.logits(own, self.test), self._told(peer, self.test.images_NCHW))
        return 100 * float((both.argmax(1) == self.test.labels_N).double().mean())
