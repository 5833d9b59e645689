"""Training for all epochs and keeping the best network: alone, as a local control, on pooled data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from smule_crypten.models.state import plain_state
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.learner import Learner
from smule_crypten.training.trainer import EpochResult, Trainer

OnEpoch = Callable[[EpochResult, Outcome], None]
"""Is told of each epoch, and of what the network does on the test samples after it."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A network after its training, with what it does on the test samples and the optimizer steps behind it.

    best: what judged it.
    """

    model: nn.Module
    model_step: int
    tested: Outcome
    best: BestNetwork

    @property
    def accuracy(self) -> float | None:
        """As in Outcome."""
        return self.tested.accuracy

    def state_dict(self) -> dict[str, Any]:
        """Of tensors and plain values only; the weights once, wherever they lie."""
        weights = None if self.best.name else plain_state(self.model.state_dict())
        return {
            "weights": weights,
            "best": self.best.state_dict(),
            "model_step": self.model_step,
            "tested": vars(self.tested),
        }

    @classmethod
    def of(cls, state: dict[str, Any], learner: Learner) -> Finished:
        """From what state_dict has given."""
        model, best = learner.network(), BestNetwork()
        best.load_state_dict(state["best"])
        if best.name:
            best.restore(model)
        else:
            model.load_state_dict(state["weights"])
        return cls(model=model, model_step=state["model_step"], tested=Outcome(**state["tested"]), best=best)


class KeptTraining:
    """All epochs of a training of the learner's network, the best of which is kept as learner judges it.

    Args:
        trainer: makes what trains a network in place.
        name: of the training, in the names of the networks that are offered.
        on_epoch: is told of each epoch.
    """

    def __init__(self, learner: Learner, trainer: Callable[[nn.Module], Trainer], name: str, on_epoch: OnEpoch) -> None:
        self._learner = learner
        self._model = learner.network()
        self._trainer = trainer(self._model)
        self._name = name
        self._on_epoch = on_epoch
        self._best = BestNetwork()
        self._tested = Outcome()
        self.epochs_done = 0

    @classmethod
    def alone(cls, learner: Learner, on_epoch: OnEpoch, on_step: Callable[[], None] | None = None) -> KeptTraining:
        """On the learner's labelled samples. on_step: as of Trainer."""
        return cls(learner, partial(learner.trainer, on_step=on_step), "alone", on_epoch)

    def run(self, reached: Callable[[], None] = lambda: None) -> Finished:
        """Train for the epochs that are left.

        Args:
            reached: called after each epoch, when state_dict tells how far the training has come.

        Raises:
            SmuleError: as Trainer.run_epoch, on_epoch and reached.
        """
        learner, trainer, model = self._learner, self._trainer, self._model
        for epoch in range(self.epochs_done + 1, learner.training.epochs + 1):
            result = trainer.run_epoch()
            self.epochs_done, self._tested = epoch, learner.test(model)
            learner.offer(model, trainer.model_step, f"{self._name}, epoch {epoch}", self._best)
            self._on_epoch(result, self._tested)
            reached()
        tested = learner.restored(self._best, model, self._tested)
        step = self._best.model_step or trainer.model_step
        return Finished(model=model, model_step=step, tested=tested, best=self._best)

    def state_dict(self) -> dict[str, Any]:
        return {
            "trainer": self._trainer.state_dict(),
            "best": self._best.state_dict(),
            "tested": vars(self._tested),
            "epochs_done": self.epochs_done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._trainer.load_state_dict(state["trainer"])
        self._best.load_state_dict(state["best"])
        self._tested, self.epochs_done = Outcome(**state["tested"]), state["epochs_done"]
