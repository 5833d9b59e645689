"""FedAvg between the two parties (McMahan et al., AISTATS 2017): each trains for an epoch, then both average weights.

A baseline in plaintext: each party sees the other's weights after every epoch, and so much more of its data than soft
labels show. Each judges the average by its own validation part and keeps the best one, as in its other trainings.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smule_crypten.config.run import RunConfig
from smule_crypten.simulation.in_process import InProcess
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.kept_training import Finished
from smule_crypten.training.learner import Learner

_FLOAT_BYTES = 4

Sends = Callable[[nn.Module, int, int], nn.Module]
"""From a party's network, its rank and the number of the epoch to the network whose weights it sends."""


@dataclass(frozen=True)
class Averaged:
    """The network that party a and party b keep. curve: epoch, accuracy and score, bytes and seconds up to then."""

    parties: tuple[Finished, Finished]
    curve: list[dict[str, Any]]


def federated_averaging(run: RunConfig) -> dict[str, Any]:
    """Accuracy and score of the averaged network, over the epochs and of the one that party a keeps."""
    torch.set_num_threads(run.launch.threads)
    averaged = average_weights(InProcess(run).learners)
    last = averaged.curve[-1]
    return {
        **vars(averaged.parties[0].tested),
        "bytes_total": last["bytes"],
        "seconds": last["seconds"],
        "curve": averaged.curve,
    }


def average_weights(learners: tuple[Learner, Learner], sends: Sends = lambda model, rank, epoch: model) -> Averaged:
    """Both parties start from party a's weights; either counts as much as it has training samples.

    The bytes are those of the weights as float32 in both directions; nothing is sent here. Seconds are those of the
    slower party, since both would train at the same time.

    Args:
        sends: what an adversary sends in place of its network, of the same architecture.
    """
    models = [learners[0].network() for _ in learners]
    trainers = [learner.trainer(model) for learner, model in zip(learners, models, strict=True)]
    bests = [BestNetwork() for _ in learners]
    counts = [len(learner.holding.train) for learner in learners]
    size = _FLOAT_BYTES * sum(value.numel() for value in models[0].state_dict().values() if value.is_floating_point())
    curve, seconds = [], 0.0
    for epoch in range(1, learners[0].training.epochs + 1):
        seconds += max(_timed(trainer.run_epoch) for trainer in trainers)
        average(models, [sends(model, rank, epoch) for rank, model in enumerate(models)], counts[0] / sum(counts))
        for learner, model, trainer, best in zip(learners, models, trainers, bests, strict=True):
            learner.offer(model, trainer.model_step, f"average, epoch {epoch}", best)
        tested = learners[0].test(models[0])
        curve.append({"epoch": epoch, **vars(tested), "bytes": 2 * size * epoch, "seconds": seconds})
    first, second = (
        Finished(
            tested=learner.restored(best, model, tested),
            model=model,
            model_step=best.model_step or trainer.model_step,
            best=best,
        )
        for learner, model, trainer, best in zip(learners, models, trainers, bests, strict=True)
    )
    return Averaged((first, second), curve)


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def average(models: list[nn.Module], sent: list[nn.Module], share: float) -> None:
    """Give both models share * first + (1 - share) * second of those sent; of what is no float, the first one's."""
    first, second = (model.state_dict() for model in sent)
    mean = {
        name: share * value + (1 - share) * second[name] if value.is_floating_point() else value
        for name, value in first.items()
    }
    for model in models:
        model.load_state_dict(mean)
