"""What a party can do without any peer: the local controls, against which a gain by mutual learning is measured.

Each trains the same network on the same data, with the same schedule and number of steps as the party does alone. A
gain that a control has as well is regularization, and no knowledge of the peer.
"""

from __future__ import annotations

import torch
from torch import nn

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.config.simulation import ControlName
from smule_crypten.models.fusion import fused
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import predict_samples
from smule_crypten.training.learner import Learner
from smule_crypten.training.self_mutual import SelfMutualTrainer
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import SoftLabels

LABEL_SMOOTHING = 0.1
_BATCH = 512


def local_control(
    name: ControlName,
    learner: Learner,
    model: nn.Module,
    finished: nn.Module | None,
    own_head: OwnAnswers | None = None,
) -> Trainer:
    """The trainer of a control, which trains model in place.

    Args:
        finished: the network that the party trained alone; self_distillation and own_head need it.
        own_head: what a ridge head of own rows says of all samples; own_head needs it.
    """
    match name:
        case "label_smoothing":
            return _label_smoothing(learner, model)
        case "self_mutual":
            return _self_mutual(learner, model)
        case "self_distillation":
            assert finished is not None, "self_distillation learns from a finished network"
            return _self_distillation(learner, model, finished)
        case "own_head":
            assert finished is not None, "own_head learns from a finished network, too"
            assert own_head is not None, "own_head learns from a head"
            return _own_head(learner, model, finished, own_head)


def _label_smoothing(learner: Learner, model: nn.Module) -> Trainer:
    """Labels mixed with the uniform distribution, LABEL_SMOOTHING of it."""
    return _trainer(learner, model, learner.training.model_copy(update={"label_smoothing": LABEL_SMOOTHING}))


def _self_mutual(learner: Learner, model: nn.Module) -> Trainer:
    """Deep mutual learning with a copy that has other initial weights, with weight 1."""
    return SelfMutualTrainer(
        model=model,
        copy=learner.network(copy=1),
        train=learner.holding.train,
        config=learner.training,
        seed=learner.seed,
        device=learner.device,
        task=learner.task,
        computing=learner.computing(),
    )


def _self_distillation(learner: Learner, model: nn.Module, finished: nn.Module) -> Trainer:
    """What the party's own finished network says of its labelled samples, its pool and public ones joins the labels."""
    config = learner.training.model_copy(update={"teacher": "ensemble", "trust": "none"})
    train, pool = learner.holding.train, learner.holding.unlabelled
    everything = train.with_others(pool)
    logits_NC = predict_samples(fused(finished.to(learner.device)), everything, _BATCH, learner.device)
    teacher = Teacher(
        _NoPeer(),
        train=train,
        pool=pool,
        validation=None,
        own=OwnAnswers(everything.sample_ids, logits_NC),
        config=config,
        seed=learner.seed,
        device=learner.device,
        task=learner.task,
        unasked_share=1.0,
    )
    return _trainer(learner, model, config, teacher)


def _own_head(learner: Learner, model: nn.Module, finished: nn.Module, own_head: OwnAnswers) -> Trainer:
    """The party's own finished network and a ridge head of its rows teach, weighted by its validation part alone."""
    held = learner.holding
    teacher = Teacher(
        _NoPeer(),
        train=held.train,
        pool=held.pool,
        public=held.public,
        validation=held.validation,
        own=learner.own_answers(finished.to(learner.device)),
        head=own_head,
        config=learner.training,
        seed=learner.seed,
        device=learner.device,
        task=learner.task,
        is_alone=True,
    )
    return learner.trainer(model, teacher)


def _trainer(learner: Learner, model: nn.Module, config: TrainingConfig, teacher: Teacher | None = None) -> Trainer:
    return Trainer(
        model=model,
        train=learner.holding.train,
        config=config,
        seed=learner.seed,
        device=learner.device,
        task=learner.task,
        teacher=teacher,
        computing=learner.computing(),
    )


class _NoPeer:
    """A PredictionSource that knows nothing."""

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        return None
