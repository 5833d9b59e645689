"""The training of a party alone, and how one that was cut off goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from smule_crypten.party.inputs import build_party_model
from smule_crypten.party.keeping import Keeping
from smule_crypten.party.learner import build_trainer
from smule_crypten.party.ledger import PartyLedger
from smule_crypten.party.run_folder import STANDALONE_FILE
from smule_crypten.training.best import BestNetwork

log = logging.getLogger(__name__)

_TIMES = 20
"""A state is saved once the training since the last one took so many times as long as saving that did: saving costs 5 %
of the time at most, and a crash that much work. Short epochs of a large network are not all saved."""


class StandaloneTraining:
    """The same network, initial weights and batches without a peer.

    Args:
        best: is offered each network, and goes on with what mutual training makes.
        on_step: as of Trainer.
    """

    def __init__(self, keeping: Keeping, ledger: PartyLedger, best: BestNetwork, on_step: Callable[[], None]) -> None:
        self._keeping = keeping
        self._model = build_party_model(keeping.config, keeping.inputs.bundle)
        self._best_alone = BestNetwork()
        self._trainer = build_trainer(keeping.config, keeping.inputs, self._model, None, on_step)
        self._ledger = ledger
        self._parts: dict[str, Any] = {
            "trainer": self._trainer,
            "best_alone": self._best_alone,
            "best": best,
            "ledger": ledger,
        }
        self._keepers = (self._best_alone, best)
        self._epochs_done, self._accuracy = 0, 0.0

    def run(self, save: Callable[[dict[str, Any]], None]) -> float:
        """Train for the epochs that are left, and write the network; returns its test accuracy.

        Args:
            save: keeps a state from which another attempt goes on as if this one had not been cut off.

        Raises:
            OutputError: the network cannot be written.
            SmuleError: as Trainer.run_epoch, on_step and save.
        """
        trainer, model, epochs = self._trainer, self._model, self._keeping.config.training.epochs
        pace = _Pace()
        for epoch in range(self._epochs_done + 1, epochs + 1):
            result = trainer.run_epoch()
            self._epochs_done, self._accuracy = epoch, self._keeping.test_accuracy(model)
            self._keeping.offer(model, trainer.model_step, f"alone, epoch {epoch}", *self._keepers)
            self._ledger.epoch("standalone", result, self._accuracy)
            if pace.allows or epoch == epochs:
                with pace.measured():
                    save(self.state_dict())
        accuracy = self._keeping.restored(self._best_alone, model, self._accuracy)
        self._keeping.save(STANDALONE_FILE, model, self._best_alone.model_step or trainer.model_step)
        return accuracy

    def state_dict(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        return parts | {"epochs_done": self._epochs_done, "accuracy": self._accuracy}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state, and say so."""
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self._epochs_done, self._accuracy = state["epochs_done"], state["accuracy"]
        config = self._keeping.config
        log.info("resumed alone epochs_done=%d", self._epochs_done)
        self._ledger.message(
            f"party {config.name} goes on with its training alone, of which {self._epochs_done} of "
            f"{config.training.epochs} epochs were saved"
        )


class _Pace:
    """Allows a state after the first epoch, and then as often as _TIMES says."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._saved_at = time.perf_counter()

    @property
    def allows(self) -> bool:
        return time.perf_counter() - self._saved_at >= _TIMES * self._seconds

    @contextmanager
    def measured(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._saved_at = time.perf_counter()
        self._seconds = self._saved_at - started
