"""The two trainings of a party, alone and with its peer, and how a run that was cut off goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from torch import nn

from smule_crypten.attacks.attack import Attack
from smule_crypten.config.run import PartyConfig
from smule_crypten.inference.noise import MU, NoiseRule
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.agreement import check_answers
from smule_crypten.models.translate import translate
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.exchanger import Exchanger
from smule_crypten.mutual_learning.schedule import exchange_epochs
from smule_crypten.party.answering import AnsweringNetwork, answering_network
from smule_crypten.party.evidence import Evidence
from smule_crypten.party.inputs import PartyInputs
from smule_crypten.party.keeping import Keeping
from smule_crypten.party.learner import Learner, build_exchanger, build_learner
from smule_crypten.party.ledger import MeasuredExchange, PartyLedger, measured_exchange
from smule_crypten.party.private_training import privacy_spent
from smule_crypten.party.run_folder import MODEL_FILE
from smule_crypten.party.standalone_training import StandaloneTraining
from smule_crypten.party.states import StateFolder
from smule_crypten.training.best import BestNetwork, balanced_accuracy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Progress:
    """Where mutual training goes on: from first_epoch, whose exchange has been made already if `exchanged`. meter is
    what had crossed the wire before the first exchange was prepared; who goes on from before it prepares it again."""

    standalone: float | None
    first_epoch: int
    exchanged: bool
    meter: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MutualTraining:
    """Everything a party trains with. model is trained in place; what answers the peer is attack.answering(model)."""

    config: PartyConfig
    inputs: PartyInputs
    attack: Attack
    model: nn.Module
    scheme: SecureInferenceScheme
    num_queries: tuple[int, int] | None
    budget: QueryBudget
    ledger: PartyLedger
    states: StateFolder
    evidence: Evidence | None

    def run(self, state: dict[str, Any] | None) -> dict[str, Any]:
        """Both trainings, or what is left of them after a saved state; returns the test accuracies.

        Raises:
            OutputError: a result or a state cannot be written.
            SmuleError: as Exchanger.run and Trainer.run_epoch.
        """
        config, inputs = self.config, self.inputs
        exchanger = build_exchanger(config, inputs, self.scheme, self.num_queries, self.budget)
        best, standalone = BestNetwork(), None
        if state is None:
            alone = self.states.load_alone()
            if alone is not None:
                # What its attempts at a start cost is no part of the run, as in _resume.
                self.scheme.session.meter.load_state_dict(alone["meter"])
            self._agree(exchanger)
            meter = self._traffic
            self._prepare(exchanger, next_epoch=1)
            standalone = self._train_alone(alone, meter, best) if config.training.standalone else None
        learner = build_learner(config, inputs, self.model, exchanger, best, self.scheme.session.check)
        if state is None:
            progress = _Progress(standalone, first_epoch=1, exchanged=False, meter=meter)
        else:
            progress = self._resume(learner, state)
        accuracy = self._train_mutually(learner, progress)
        return {
            "test_accuracy": accuracy,
            "standalone_test_accuracy": progress.standalone,
            "alarms": learner.watchman.alarms,
            "kept_network": best.name or f"smule, epoch {self.config.training.epochs}",
            "kept_because": "validation" if best.name else "last",
            "privacy": privacy_spent(config, inputs),
            "budget": self.budget.facts() | {"mu": MU, "logit_noise": self.ledger.logit_noise},
        }

    def _agree(self, exchanger: Exchanger) -> None:
        """Plan the budget, and say what that comes to."""
        exchanger.agree(len(self._exchange_epochs))
        self.scheme.noise = NoiseRule(num_answers=self.budget.limit, extra=self.config.budget.logit_noise)
        facts = self.budget.facts()
        log.info("budget planned %s", " ".join(f"{key}={value}" for key, value in facts.items()))
        self.ledger.message(
            f"party {self.config.name} answers at most {facts['limit']} samples: {facts['charged']} charged in "
            f"this run, {facts['charged_before']} before, {facts['left']} left; {facts['repeats_used']} of "
            f"{facts['repeats_allowed']} repeats used; noise on the logits hides their rounding up to mu = {MU:g}"
        )

    def _train_mutually(self, learner: Learner, progress: _Progress) -> float:
        """What is left of the epochs; returns the test accuracy."""
        trainer, best, keeping, accuracy = learner.trainer, learner.best, self._keeping, 0.0
        for epoch in range(progress.first_epoch, self.config.training.epochs + 1):
            made = progress.exchanged and epoch == progress.first_epoch
            if epoch in self._exchange_epochs and not made:
                self._save_before_the_first(learner, progress, epoch)
                if self._takes_place(learner, epoch):
                    self._exchange(learner, progress.standalone, epoch)
            result = trainer.run_epoch()
            accuracy = keeping.test_accuracy(self.model)
            keeping.offer(self.model, trainer.model_step, f"smule, epoch {epoch}", best)
            self.ledger.epoch("smule", result, accuracy)
        accuracy = keeping.restored(best, self.model, accuracy)
        keeping.save(MODEL_FILE, self.model, best.model_step or trainer.model_step)
        return accuracy

    @property
    def _keeping(self) -> Keeping:
        return Keeping(self.config, self.inputs)

    def _train_alone(self, state: dict[str, Any] | None, meter: dict[str, Any], best: BestNetwork) -> float:
        training = StandaloneTraining(self._keeping, self.ledger, best, self.scheme.session.check)
        if state is not None:
            training.load_state_dict(state["training"])
        return training.run(lambda reached: self.states.save_alone({"training": reached, "meter": meter}))

    @property
    def _exchange_epochs(self) -> range:
        return exchange_epochs(self.config.exchange, self.config.training.epochs)

    @property
    def _is_adaptive(self) -> bool:
        return self.config.exchange.schedule == "adaptive"

    def _takes_place(self, learner: Learner, epoch: int) -> bool:
        """Whether one of the parties wants the exchange that may take place now; always so by a fixed schedule."""
        if not self._is_adaptive:
            return True
        wants = learner.wish.wants_another(*balanced_accuracy(*self._keeping.judged(self.model)))
        cost = learner.exchanger.skip(wants)
        log.info("exchange considered epoch=%d wanted_here=%s takes_place=%s", epoch, wants, cost is None)
        if cost is None:
            return True
        self.ledger.skipped(cost)
        return False

    def _exchange(self, learner: Learner, standalone: float | None, epoch: int) -> None:
        trainer, exchanger = learner.trainer, learner.exchanger
        in_training = AnsweringNetwork(self.model, trainer.model_step, f"smule, epoch {epoch - 1}")
        answering = answering_network(self.config, self.inputs.bundle, in_training, learner.best)
        log.info("exchange begun epoch=%d network=%s model_step=%d", epoch, answering.name, answering.model_step)
        network = self.attack.answering(answering.model, exchanger.next_query_id)
        images_NCHW = self.inputs.calibration(self.config).images_NCHW
        check_answers(network, translate(network, self.inputs.bundle.input_shape), images_NCHW)
        exchange = measured_exchange(lambda: exchanger.run(network, answering.model_step))
        _log_exchange(exchange)
        self.ledger.exchanged(exchange)
        if self.evidence is not None:
            result = exchange.result
            self.evidence.keep(epoch, network, result.prediction, result.views_NCHW)
        learner.wish.exchanged(exchange.result.cost.bytes_total + exchange.result.cost.dealer_bytes)
        self._watch(learner, exchange, epoch)
        self._save_state(learner, standalone, epoch, exchange.result.disclosure.query_id, self._traffic)
        self._prepare(exchanger, next_epoch=epoch + 1)

    @property
    def _traffic(self) -> dict[str, Any]:
        return self.scheme.session.meter.state_dict()

    def _save_before_the_first(self, learner: Learner, progress: _Progress, epoch: int) -> None:
        if learner.exchanger.next_query_id == 1 and 0 not in self.states.completed():
            self._save_state(learner, progress.standalone, epoch, 0, progress.meter)

    def _save_state(
        self, learner: Learner, standalone: float | None, epoch: int, number: int, meter: dict[str, Any]
    ) -> None:
        """After exchange `number`, which begins the epoch; 0 before the first exchange."""
        state = {
            "epoch": epoch,
            "exchanged": number > 0,
            "standalone": standalone,
            "learner": learner.state_dict(),
            "ledger": self.ledger.state_dict(),
            "meter": meter,
        }
        self.states.save(number, state)
        log.info("state saved exchange=%d epoch=%d", number, epoch)

    def _watch(self, learner: Learner, exchange: MeasuredExchange, epoch: int) -> None:
        """Test the answers that came, and say so where there is an alarm."""
        watchman, result = learner.watchman, exchange.result
        number, num_plain = result.prediction.query_id, len(result.prediction.sample_ids) - len(result.views_NCHW)
        alarms = watchman.check(
            number, result.prediction.sample_ids[:num_plain], result.prediction.logits_NC[:num_plain]
        )
        if result.num_dropped:
            # For this side alone: the other one would learn of this party's samples.
            self.ledger.message(
                f"party {self.config.name}, exchange {number}: {result.num_dropped} of {result.num_asked} answers are "
                "dropped: inputs or logits are larger here than what the other party's network was fitted for"
            )
        dropped = watchman.quarantine(number, epoch, alarms, learner.exchanger.forget, learner.trainer, learner.best)
        for alarm in alarms:
            outcome = "its answers are dropped" if dropped else "nothing was dropped (training.alarm=report)"
            self.ledger.message(
                f"party {self.config.name}, exchange {number}, {alarm.test}: {alarm.evidence}; {outcome}"
            )

    def _prepare(self, exchanger: Exchanger, next_epoch: int) -> None:
        """Have the next exchange dealt for while this party trains, unless it may be left out."""
        if not self._is_adaptive and any(epoch >= next_epoch for epoch in self._exchange_epochs):
            exchanger.prepare()

    def _resume(self, learner: Learner, state: dict[str, Any]) -> _Progress:
        learner.load_state_dict(state["learner"])
        self.ledger.load_state_dict(state["ledger"])
        self.scheme.session.meter.load_state_dict(state["meter"])
        log.info("resumed epoch=%d", state["epoch"])
        self.ledger.message(
            f"party {self.config.name} goes on with epoch {state['epoch']} of {self.config.training.epochs} from its "
            f"state {'after' if state['exchanged'] else 'before'} an exchange"
        )
        self._agree(learner.exchanger)
        self._prepare(learner.exchanger, next_epoch=state["epoch"] + state["exchanged"])
        return _Progress(state["standalone"], state["epoch"], exchanged=state["exchanged"], meter=state["meter"])


def _log_exchange(exchange: MeasuredExchange) -> None:
    result, cost = exchange.result, exchange.result.cost
    log.info(
        "exchange finished exchange=%d queries_made=%d queries_answered=%d answers_dropped=%d rounds=%d "
        "bytes_sent=%d bytes_received=%d dealer_bytes=%d seconds=%.3f",
        result.disclosure.query_id,
        result.num_asked,
        result.disclosure.num_samples,
        result.num_dropped,
        cost.rounds,
        cost.bytes_sent,
        cost.bytes_received,
        cost.dealer_bytes,
        exchange.seconds,
    )
