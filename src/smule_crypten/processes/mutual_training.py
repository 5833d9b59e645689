"""The two trainings of a party, alone and with its peer, and how a run that was cut off goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from torch import nn

from smule_crypten.exchange.budget import QueryBudget
from smule_crypten.exchange.exchanger import Exchanger
from smule_crypten.exchange.schedule import exchange_follows, is_exchange_epoch
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.fusion import fused
from smule_crypten.processes.evidence import Evidence
from smule_crypten.processes.inputs import PartyInputs, build_party_model, party_seed, resolve_device
from smule_crypten.processes.ledger import MeasuredExchange, PartyLedger, measured_exchange
from smule_crypten.processes.run_folder import MODEL_FILE, STANDALONE_FILE, party_folder
from smule_crypten.processes.states import StateFolder
from smule_crypten.run_config import PartyConfig
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import evaluate, predict_logits
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import PredictionSource

log = logging.getLogger(__name__)
_BATCH = 512


@dataclass(frozen=True)
class _Progress:
    """Where mutual training goes on: from first_epoch, whose exchange has been made already if `exchanged`."""

    standalone: float | None
    first_epoch: int
    exchanged: bool


@dataclass(frozen=True, kw_only=True)
class MutualTraining:
    """Everything a party trains with. model is trained in place."""

    config: PartyConfig
    inputs: PartyInputs
    model: nn.Module
    scheme: SecureInferenceScheme
    num_queries: int | None
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
        exchanger = Exchanger(
            scheme=self.scheme,
            config=self.config.exchange,
            train=self.inputs.train,
            pool=self.inputs.pool,
            held_out=self.inputs.validation,
            num_queries=self.num_queries,
            num_classes=self.inputs.bundle.num_classes,
            budget=self.budget,
            seed=party_seed(self.config),
        )
        best, standalone = BestNetwork(), None
        if state is None:
            self._prepare(exchanger, next_epoch=1)
            standalone = self._train_alone(best) if self.config.training.standalone else None
        trainer = self._trainer(self.model, self._teacher(exchanger.cache))
        if state is None:
            progress = _Progress(standalone, first_epoch=1, exchanged=False)
        else:
            progress = self._resume(trainer, exchanger, best, state)
        accuracy = self._train_mutually(trainer, exchanger, best, progress)
        return {
            "test_accuracy": accuracy,
            "standalone_test_accuracy": progress.standalone,
            "kept_network": best.name or f"smule, epoch {self.config.training.epochs}",
        }

    def _train_alone(self, best: BestNetwork) -> float:
        """The same network, initial weights and batches without a peer; returns its test accuracy."""
        model = build_party_model(self.config, self.inputs.bundle)
        trainer = self._trainer(model, None)
        best_alone, accuracy = BestNetwork(), 0.0
        for _ in range(self.config.training.epochs):
            result = trainer.run_epoch()
            accuracy = self._test_accuracy(model)
            self._offer(model, f"alone, epoch {result.epoch}", best_alone, best)
            self.ledger.epoch("standalone", result, accuracy)
        accuracy = self._restored(best_alone, model, accuracy)
        self._save(STANDALONE_FILE, model, trainer.model_step)
        return accuracy

    def _train_mutually(self, trainer: Trainer, exchanger: Exchanger, best: BestNetwork, progress: _Progress) -> float:
        """What is left of the epochs; returns the test accuracy."""
        config, accuracy = self.config, 0.0
        for epoch in range(progress.first_epoch, config.training.epochs + 1):
            due = is_exchange_epoch(epoch, config.exchange, config.training.epochs)
            if due and not (progress.exchanged and epoch == progress.first_epoch):
                self._exchange(trainer, exchanger, best, progress.standalone, epoch)
            result = trainer.run_epoch()
            accuracy = self._test_accuracy(self.model)
            self._offer(self.model, f"smule, epoch {epoch}", best)
            self.ledger.epoch("smule", result, accuracy)
        accuracy = self._restored(best, self.model, accuracy)
        self._save(MODEL_FILE, self.model, trainer.model_step)
        return accuracy

    def _offer(self, model: nn.Module, name: str, *keepers: BestNetwork) -> None:
        """Let the keepers judge model by the validation part."""
        if self.config.training.keep == "best" and len(self.inputs.validation) > 0:
            device, num_classes = resolve_device(self.config.device), self.inputs.bundle.num_classes
            result = evaluate(fused(model), self.inputs.validation, num_classes, device=device)
            class_counts = self.inputs.validation.class_counts(num_classes)
            for keeper in keepers:
                keeper.offer(model, result, class_counts, name)

    def _restored(self, keeper: BestNetwork, model: nn.Module, accuracy: float) -> float:
        """Put the best weights back; returns the test accuracy, which is `accuracy` where nothing was kept."""
        if not keeper.name:
            return accuracy
        keeper.restore(model)
        return self._test_accuracy(model)

    def _exchange(
        self, trainer: Trainer, exchanger: Exchanger, best: BestNetwork, standalone: float | None, epoch: int
    ) -> None:
        log.info("exchange begun epoch=%d model_step=%d", epoch, trainer.model_step)
        exchange = measured_exchange(lambda: exchanger.run(self.model, trainer.model_step))
        _log_exchange(exchange)
        self.ledger.exchanged(exchange)
        if self.evidence is not None:
            self.evidence.keep(epoch, self.model, exchange.result.prediction)
        state = {
            "epoch": epoch,
            "standalone": standalone,
            "trainer": trainer.state_dict(),
            "exchanger": exchanger.state_dict(),
            "best": best.state_dict(),
            "ledger": self.ledger.state_dict(),
            "meter": self.scheme.session.meter.state_dict(),
        }
        number = exchange.result.disclosure.query_id
        self.states.save(number, state)
        log.info("state saved exchange=%d epoch=%d", number, epoch)
        self._prepare(exchanger, next_epoch=epoch + 1)

    def _prepare(self, exchanger: Exchanger, next_epoch: int) -> None:
        """Have the next exchange dealt for while this party trains."""
        if exchange_follows(next_epoch, self.config.exchange, self.config.training.epochs):
            exchanger.prepare()

    def _resume(self, trainer: Trainer, exchanger: Exchanger, best: BestNetwork, state: dict[str, Any]) -> _Progress:
        exchanger.load_state_dict(state["exchanger"])
        trainer.load_state_dict(state["trainer"])
        best.load_state_dict(state["best"])
        self.ledger.load_state_dict(state["ledger"])
        self.scheme.session.meter.load_state_dict(state["meter"])
        log.info("resumed epoch=%d", state["epoch"])
        self._prepare(exchanger, next_epoch=state["epoch"] + 1)
        return _Progress(state["standalone"], first_epoch=state["epoch"], exchanged=True)

    def _trainer(self, model: nn.Module, teacher: Teacher | None) -> Trainer:
        return Trainer(
            model=model,
            train=self.inputs.train,
            config=self.config.training,
            seed=party_seed(self.config),
            device=resolve_device(self.config.device),
            teacher=teacher,
            on_step=self.scheme.session.check,
        )

    def _teacher(self, source: PredictionSource) -> Teacher:
        inputs = self.inputs
        return Teacher(
            source,
            train=inputs.train,
            pool=inputs.pool,
            validation=inputs.validation,
            own=self._own_answers() if self.config.training.standalone else None,
            config=self.config.training,
            seed=party_seed(self.config),
            device=resolve_device(self.config.device),
        )

    def _own_answers(self) -> OwnAnswers | None:
        """What the network trained alone says of pool and held-out samples. From its file, for resumed runs, too."""
        device = resolve_device(self.config.device)
        network = build_party_model(self.config, self.inputs.bundle)
        network.load_state_dict(load_checkpoint(party_folder(self.config) / STANDALONE_FILE).state_dict)
        unseen = self.inputs.validation.with_others(self.inputs.pool)
        if len(unseen) == 0:
            return None
        logits_NC = predict_logits(fused(network.to(device)), unseen.images_NCHW, _BATCH, device)
        return OwnAnswers(unseen.sample_ids_N, logits_NC)

    def _test_accuracy(self, model: nn.Module) -> float:
        device = resolve_device(self.config.device)
        return evaluate(fused(model), self.inputs.test, self.inputs.bundle.num_classes, device=device).accuracy

    def _save(self, name: str, model: nn.Module, model_step: int) -> None:
        bundle = self.inputs.bundle
        checkpoint = Checkpoint(
            model=self.config.model,
            input_shape=bundle.input_shape,
            num_classes=bundle.num_classes,
            class_names=bundle.class_names,
            mean=self.config.data.mean,
            std=self.config.data.std,
            model_step=model_step,
            state_dict=model.state_dict(),
        )
        save_checkpoint(party_folder(self.config) / name, checkpoint)


def _log_exchange(exchange: MeasuredExchange) -> None:
    result, cost = exchange.result, exchange.result.cost
    log.info(
        "exchange finished exchange=%d queries_made=%d queries_answered=%d answers_recomputed=%d rounds=%d "
        "bytes_sent=%d bytes_received=%d dealer_bytes=%d seconds=%.3f",
        result.disclosure.query_id,
        len(result.prediction.sample_ids),
        result.disclosure.num_samples,
        result.num_recomputed,
        cost.rounds,
        cost.bytes_sent,
        cost.bytes_received,
        cost.dealer_bytes,
        exchange.seconds,
    )
