"""The learning of a party in its own process: its report, its files, and how a run that was cut off goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from smule_crypten.compute.helpers import Helpers
from smule_crypten.config.run import PartyConfig
from smule_crypten.inference.noise import MU
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.loop import MutualLearning
from smule_crypten.mutual_learning.observer import Phase
from smule_crypten.mutual_learning.peer import Answers, Peer
from smule_crypten.mutual_learning.schedule import NOTHING_PUBLIC
from smule_crypten.mutual_learning.secure_peer import SecurePeer
from smule_crypten.party.figures import evaluation_record, gain_records
from smule_crypten.party.inputs import PartyInputs
from smule_crypten.party.learner import learner_of
from smule_crypten.party.ledger import PartyLedger
from smule_crypten.party.private_training import privacy_spent
from smule_crypten.party.public_asking import PublicAsking
from smule_crypten.party.run_folder import MODEL_FILE, STANDALONE_FILE, party_folder
from smule_crypten.party.states import StateFolder
from smule_crypten.report.records import AlarmRecord, BudgetRecord, PartyFacts
from smule_crypten.training.checkpoint import Checkpoint, save_checkpoint
from smule_crypten.training.checkpoint_features import CheckpointFeatures
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.trainer import EpochResult
from smule_crypten.transport.meter import CostMeter

log = logging.getLogger(__name__)

_TIMES = 20
"""A state is saved once the training since the last one took so many times as long as saving that did: saving costs 5 %
of the time at most, and a crash that much work. Short epochs of a large network are not all saved."""
_FILES: dict[Phase, str] = {"standalone": STANDALONE_FILE, "smule": MODEL_FILE}


class MutualTraining:
    """Runs the loop of one party, and follows it.

    Args:
        secure: the peer; seen: the same as the loop sees it (hooks.py).
        public: questions whose samples are public; None without any.
        num_queries: the most samples that this party asks about in one exchange; None for all that it may.
        head: what this party's own knowledge of the joint head says of all its samples; None without one.
        helpers: its other processes, which train with this one; None without any.
    """

    def __init__(
        self,
        *,
        config: PartyConfig,
        inputs: PartyInputs,
        meter: CostMeter,
        secure: SecurePeer,
        public: PublicAsking | None,
        seen: Peer,
        num_queries: int | None,
        budget: QueryBudget,
        ledger: PartyLedger,
        states: StateFolder,
        head: OwnAnswers | None = None,
        helpers: Helpers | None = None,
    ) -> None:
        self._config, self._inputs = config, inputs
        self._meter, self._secure, self._public = meter, secure, public
        self._budget, self._ledger, self._states = budget, ledger, states
        self._pace = _Pace()
        self._alarms = 0
        """So many were told to the audit log, now or by the attempt that this one goes on from."""
        self._at_first: dict[str, Any] = {}
        """What had crossed the wire before the first exchange was prepared; who goes on from before it prepares it
        again."""
        learner = learner_of(config, inputs, helpers)
        self._loop = MutualLearning(learner, config.exchange, seen, num_queries=num_queries, observer=self, head=head)

    def run(self, state: dict[str, Any] | None) -> PartyFacts:
        """All of the loop, or what is left of it after a saved state; returns what came of it.

        Raises:
            OutputError: a result or a state cannot be written.
            SmuleError: as MutualLearning.run.
        """
        if state is None:
            self._begin(self._states.load_alone())
        else:
            self._resume(state)
        for _ in self._loop.run():
            pass
        loop, config = self._loop, self._config
        answered, noise = self._ledger.answers_given, self._ledger.logit_noise
        return PartyFacts(
            test_accuracy=loop.accuracy,
            standalone_test_accuracy=None if loop.alone is None else loop.alone.accuracy,
            **self._figures(),
            alarms=[AlarmRecord(**alarm) for alarm in loop.watchman.alarms],
            kept_network=loop.best.name or f"smule, epoch {config.training.epochs}",
            kept_because="validation" if loop.best.name else "last",
            privacy=privacy_spent(config, self._inputs),
            budget=BudgetRecord(answered=answered, mu=MU, logit_noise=noise, **self._budget.facts()),
        )

    def _figures(self) -> dict[str, Any]:
        """Of the kept networks on the test samples."""
        loop, names = self._loop, self._inputs.bundle.class_names
        smule = loop.learner.evaluated(loop.network)
        if loop.alone is None:
            return {"evaluations": {"smule": evaluation_record(smule, names)}}
        alone = loop.learner.evaluated(loop.alone.model)
        return {
            "evaluations": {"standalone": evaluation_record(alone, names), "smule": evaluation_record(smule, names)},
            "gains": {"standalone": gain_records(smule, alone)},
        }

    def epoch(self, phase: Phase, result: EpochResult, tested: Outcome) -> None:
        self._ledger.epoch(phase, result, tested)

    def exchanged(self, epoch: int, answers: Answers, seconds: float) -> None:
        _log_exchange(answers, seconds)
        self._ledger.exchanged(answers, seconds)

    def message(self, text: str) -> None:
        self._ledger.message(text)

    def kept(self, phase: Phase, network: nn.Module, model_step: int) -> None:
        """Write the network into the party's folder.

        Raises:
            OutputError: the folder cannot be written.
        """
        config, bundle = self._config, self._inputs.bundle
        checkpoint = Checkpoint(
            model=config.model,
            input_shape=bundle.input_shape,
            num_classes=bundle.num_classes,
            class_names=bundle.class_names,
            mean=config.data.mean,
            std=config.data.std,
            task=config.task,
            target_mean=config.data.target_mean,
            target_std=config.data.target_std,
            model_step=model_step,
            state_dict=network.state_dict(),
            features=CheckpointFeatures.of(config.features, bundle.origin),
        )
        save_checkpoint(party_folder(config) / _FILES[phase], checkpoint)

    def reached(self) -> None:
        """Save a state: of training alone from time to time and at its end, of mutual learning always."""
        for alarm in self._loop.watchman.alarms[self._alarms :]:
            self._ledger.audit.alarmed(alarm)
        self._alarms = len(self._loop.watchman.alarms)
        loop, alone = self._loop, self._loop.training_alone
        if alone is not None:
            if self._pace.allows or alone.epochs_done == self._config.training.epochs:
                with self._pace.measured():
                    self._states.save_alone(self._state(self._at_first))
        elif loop.num_exchanges > 0:
            self._states.save(loop.num_exchanges, self._state(self._meter.state_dict()))
            log.info("state saved exchange=%d epoch=%d", loop.num_exchanges, loop.epoch)
        elif 0 not in self._states.completed():
            self._states.save(0, self._state(self._at_first))
            log.info("state saved exchange=0 epoch=%d", loop.epoch)

    def _state(self, meter: dict[str, Any]) -> dict[str, Any]:
        return {"loop": self._loop.state_dict(), "ledger": self._ledger.state_dict(), "meter": meter}

    def _begin(self, alone: dict[str, Any] | None) -> None:
        """From the first epoch alone, or from where an earlier attempt at training alone was cut off."""
        if alone is not None:
            # What its attempts at a start cost is no part of the run, as in _resume.
            self._meter.load_state_dict(alone["meter"])
        self._agree()
        self._at_first = self._meter.state_dict()
        if alone is not None:
            done, epochs = alone["loop"]["training_alone"]["epochs_done"], self._config.training.epochs
            self._load(alone)
            log.info("resumed alone epochs_done=%d", done)
            self._ledger.message(
                f"party {self._config.name} goes on with its training alone, of which {done} of {epochs} epochs were "
                "saved"
            )

    def _resume(self, state: dict[str, Any]) -> None:
        """From an exchange, or from before the first one."""
        self._load(state)
        self._meter.load_state_dict(state["meter"])
        self._at_first = state["meter"]
        loop = self._loop
        log.info("resumed epoch=%d", loop.epoch)
        self._ledger.message(
            f"party {self._config.name} goes on with epoch {loop.epoch} of {self._config.training.epochs} from its "
            f"state {'after' if loop.num_exchanges else 'before'} an exchange"
        )
        self._agree()

    def _load(self, state: dict[str, Any]) -> None:
        self._loop.load_state_dict(state["loop"])
        self._alarms = len(self._loop.watchman.alarms)
        self._ledger.load_state_dict(state["ledger"])

    def _agree(self) -> None:
        """Plan the budget, and say what that comes to."""
        num_exchanges = len(self._loop.due)
        public = NOTHING_PUBLIC if self._public is None else self._public.plan(num_exchanges)
        self._secure.agree(num_exchanges, most=self._loop.questions.count(None), public=public)
        facts = self._budget.facts()
        log.info("budget planned %s", " ".join(f"{key}={value}" for key, value in facts.items()))
        self._ledger.message(
            f"party {self._config.name} answers at most {facts['limit']} samples: {facts['charged']} charged in "
            f"this run, {facts['charged_before']} before, {facts['left']} left; {facts['repeats_used']} of "
            f"{facts['repeats_allowed']} repeats used; noise on the logits hides their rounding up to mu = {MU:g}"
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


def _log_exchange(answers: Answers, seconds: float) -> None:
    cost = answers.cost
    log.info(
        "exchange finished exchange=%d queries_made=%d queries_answered=%d answers_dropped=%d rounds=%d "
        "bytes_sent=%d bytes_received=%d dealer_bytes=%d seconds=%.3f",
        answers.disclosure.query_id,
        answers.num_asked,
        answers.disclosure.num_samples,
        answers.num_dropped,
        cost.rounds,
        cost.bytes_sent,
        cost.bytes_received,
        cost.dealer_bytes,
        seconds,
    )
