"""What a party trains with: its parts, built from configuration and data, and their state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from smule_crypten.config.run import PartyConfig
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.fusion import fused
from smule_crypten.mutual_learning.adaptive import Wish
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.exchanger import Exchanger
from smule_crypten.mutual_learning.schedule import exchange_epochs
from smule_crypten.mutual_learning.watching import Watchman
from smule_crypten.party.answering import standalone_network
from smule_crypten.party.inputs import PartyInputs, build_party_model, party_seed, resolve_device
from smule_crypten.party.private_training import private_trainer
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.training.self_mutual import SelfMutualTrainer
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer

_BATCH = 512


@dataclass(frozen=True)
class Learner:
    """What changes in the course of mutual training, and is saved at each exchange."""

    trainer: Trainer
    exchanger: Exchanger
    best: BestNetwork
    wish: Wish
    watchman: Watchman

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in vars(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # The answers come first: the trainer looks at them.
        self.exchanger.load_state_dict(state["exchanger"])
        self.trainer.load_state_dict(state["trainer"])
        self.best.load_state_dict(state["best"])
        self.wish.load_state_dict(state["wish"])
        self.watchman.load_state_dict(state["watchman"])


def build_learner(
    config: PartyConfig,
    inputs: PartyInputs,
    model: nn.Module,
    exchanger: Exchanger,
    best: BestNetwork,
    on_step: Callable[[], None],
) -> Learner:
    """For mutual training of model, which is trained in place; with training.standalone, after the training alone.

    Raises:
        DataError, ModelError: the file of the network that was trained alone has been damaged since.
    """
    known = inputs.train.with_others(inputs.validation)
    num_exchanges = len(exchange_epochs(config.exchange, config.training.epochs))
    return Learner(
        trainer=build_trainer(config, inputs, model, _teacher(config, inputs, exchanger), on_step),
        exchanger=exchanger,
        best=best,
        wish=Wish(config.exchange.queries.min_gain_per_mb),
        watchman=Watchman(config.training.alarm, known, inputs.bundle.num_classes, num_exchanges),
    )


def build_exchanger(
    config: PartyConfig,
    inputs: PartyInputs,
    scheme: SecureInferenceScheme,
    num_queries: tuple[int, int] | None,
    budget: QueryBudget,
) -> Exchanger:
    return Exchanger(
        scheme=scheme,
        config=config.exchange,
        train=inputs.train,
        pool=inputs.pool,
        held_out=inputs.validation,
        num_queries=num_queries,
        num_classes=inputs.bundle.num_classes,
        budget=budget,
        seed=party_seed(config),
        calibration=None if config.training.dp is None else inputs.calibration(config),
    )


def build_trainer(
    config: PartyConfig, inputs: PartyInputs, model: nn.Module, teacher: Teacher | None, on_step: Callable[[], None]
) -> Trainer:
    """Of model, with a teacher or alone; training.self_mutual applies with a teacher only."""
    if config.training.dp is not None:
        device = resolve_device(config.device)
        return private_trainer(config, inputs, config.training.dp, model, device, teacher, on_step)
    kind: Callable[..., Trainer] = Trainer
    if config.training.self_mutual and teacher is not None:
        kind = partial(SelfMutualTrainer, copy=build_party_model(config, inputs.bundle, copy=1))
    return kind(
        model=model,
        train=inputs.train,
        config=config.training,
        seed=party_seed(config),
        device=resolve_device(config.device),
        teacher=teacher,
        on_step=on_step,
    )


def _teacher(config: PartyConfig, inputs: PartyInputs, exchanger: Exchanger) -> Teacher:
    return Teacher(
        exchanger.cache,
        train=inputs.train,
        pool=inputs.pool,
        validation=inputs.validation,
        views=None if config.exchange.queries.view == "none" else exchanger.replay,
        own=_own_answers(config, inputs) if config.training.standalone else None,
        config=config.training,
        seed=party_seed(config),
        device=resolve_device(config.device),
    )


def _own_answers(config: PartyConfig, inputs: PartyInputs) -> OwnAnswers | None:
    """What the network trained alone says of pool and held-out samples. From its file, for resumed runs, too."""
    network = standalone_network(config, inputs.bundle).model
    unseen = inputs.validation.with_others(inputs.pool)
    if len(unseen) == 0:
        return None
    logits_NC = predict_logits(fused(network), unseen.images_NCHW, _BATCH, resolve_device(config.device))
    return OwnAnswers(unseen.sample_ids_N, logits_NC)
