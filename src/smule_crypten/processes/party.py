"""One party from start to end: the place where data, network, secure runtime, exchange and trainer meet.

The same function runs in a process of our launcher, under CrypTen's `run_multiprocess`, and in a shell with
WORLD_SIZE, RANK and RENDEZVOUS set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from smule_crypten.config import PartyConfig, ProtocolConfig
from smule_crypten.data.partition import missing_classes
from smule_crypten.exchange.exchanger import Exchanger, ExchangeResult
from smule_crypten.exchange.handshake import handshake, run_handshake
from smule_crypten.exchange.schedule import is_exchange_epoch
from smule_crypten.files import write_atomic
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import num_parameters
from smule_crypten.mpc.session import open_session
from smule_crypten.processes.inputs import build_party_model, load_simulated_data, party_seed, resolve_device
from smule_crypten.processes.launcher import Emit
from smule_crypten.processes.ledger import PartyLedger, measured_exchange
from smule_crypten.processes.run_folder import JOURNAL_FILE
from smule_crypten.report.journal import EpochJournal
from smule_crypten.training.checkpoint import Checkpoint, save_checkpoint
from smule_crypten.training.evaluate import evaluate
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import PredictionSource


def run_party(emit: Emit, config: PartyConfig, evidence_dir: str | None = None) -> dict[str, Any]:
    """Train alone, then with mutual learning; returns the party's entry of RunRecord.parties.

    Args:
        emit: receives an event for every epoch and message (docs/results.md).
        evidence_dir: simulation only: where to leave model and answers of each exchange, for the fidelity check.

    Raises:
        SmuleError: anything a user can cause.
    """
    torch.set_num_threads(config.run.launch.threads)
    return _Party(emit, config, evidence_dir).run()


class _Party:
    def __init__(self, emit: Emit, config: PartyConfig, evidence_dir: str | None) -> None:
        run = config.run
        self._emit = emit
        self._config = config
        self._evidence_dir = None if evidence_dir is None else Path(evidence_dir)
        self._output_dir = Path(config.output_dir) / f"party_{config.name}"
        self._device = resolve_device(run.device)
        data = load_simulated_data(run)
        self._bundle = data.bundle
        self._train = data.train_of(config.rank, run)
        self._test = data.test(run)

    def run(self) -> dict[str, Any]:
        run = self._config.run
        model = build_party_model(run, self._config.rank, self._bundle)
        architecture = translate(model, self._bundle.input_shape).architecture
        self._say_what_is_missing()
        with (
            EpochJournal(self._output_dir / JOURNAL_FILE) as journal,
            open_session(
                precision_bits=run.scheme.precision_bits,
                deadline_seconds=run.launch.deadline_seconds,
                randomness=run.randomness,
                seed=run.seed,
            ) as session,
        ):
            self._ledger = PartyLedger(self._config.name, journal, self._emit)
            protocol = ProtocolConfig.from_run(run, self._bundle.input_shape, self._bundle.num_classes)
            scheme = scheme_class(run.scheme.name)(session, run.scheme)
            steps = handshake(protocol, session.rank, architecture)
            scheme.prepare(run_handshake(steps, session.channel.swap_json))
            standalone = self._train_alone() if run.training.standalone else None
            accuracy = self._train_mutually(model, scheme)
            return {
                **self._description(model),
                "test_accuracy": accuracy,
                "standalone_test_accuracy": standalone,
                **self._ledger.totals(session.meter),
            }

    def _say_what_is_missing(self) -> None:
        missing = missing_classes(self._train.labels_N, self._bundle.num_classes)
        if missing:
            names = ", ".join(self._bundle.class_names[label] for label in missing)
            self._emit({"kind": "message", "text": f"party {self._config.name} has no sample of class {names}"})

    def _train_alone(self) -> float:
        """The same network, initial weights and batches without a peer; returns its test accuracy."""
        model = build_party_model(self._config.run, self._config.rank, self._bundle)
        trainer = self._trainer(model, None)
        accuracy = 0.0
        for _ in range(self._config.run.training.epochs):
            result = trainer.run_epoch()
            accuracy = self._test_accuracy(model)
            self._ledger.epoch("standalone", result, accuracy)
        self._save("standalone.pt", model, trainer.model_step)
        return accuracy

    def _train_mutually(self, model: nn.Module, scheme: SecureInferenceScheme) -> float:
        run = self._config.run
        exchanger = Exchanger(
            scheme=scheme,
            config=run.exchange,
            train=self._train,
            num_classes=self._bundle.num_classes,
            seed=party_seed(run, self._config.rank),
        )
        trainer = self._trainer(model, exchanger.cache)
        accuracy = 0.0
        for epoch in range(1, run.training.epochs + 1):
            exchange = None
            if is_exchange_epoch(epoch, run.exchange, run.training.epochs):
                exchange = measured_exchange(scheme.session.meter, lambda: exchanger.run(model, trainer.model_step))
                self._keep_evidence(epoch, model, exchange.result)
            result = trainer.run_epoch()
            accuracy = self._test_accuracy(model)
            self._ledger.epoch("smule", result, accuracy, exchange)
        self._save("model.pt", model, trainer.model_step)
        return accuracy

    def _trainer(self, model: nn.Module, source: PredictionSource | None) -> Trainer:
        run = self._config.run
        return Trainer(
            model=model,
            train=self._train,
            config=run.training,
            seed=party_seed(run, self._config.rank),
            device=self._device,
            source=source,
        )

    def _test_accuracy(self, model: nn.Module) -> float:
        return evaluate(model, self._test, self._bundle.num_classes, device=self._device).accuracy

    def _keep_evidence(self, epoch: int, model: nn.Module, answer: ExchangeResult) -> None:
        if self._evidence_dir is None:
            return
        path = self._evidence_dir / f"{self._config.name}_{epoch}.pt"
        evidence = {
            "sample_ids": answer.prediction.sample_ids,
            "logits_NC": answer.prediction.logits_NC,
            "state_dict": {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()},
        }
        write_atomic(path, lambda file: torch.save(evidence, file))
        self._emit({"kind": "evidence", "epoch": epoch, "path": str(path)})

    def _save(self, name: str, model: nn.Module, model_step: int) -> None:
        data = self._config.run.data
        checkpoint = Checkpoint(
            model=self._config.model,
            input_shape=self._bundle.input_shape,
            num_classes=self._bundle.num_classes,
            class_names=self._bundle.class_names,
            mean=data.mean,
            std=data.std,
            model_step=model_step,
            state_dict=model.state_dict(),
        )
        save_checkpoint(self._output_dir / name, checkpoint)

    def _description(self, model: nn.Module) -> dict[str, Any]:
        num_classes = self._bundle.num_classes
        return {
            "architecture": self._config.model.options.get("arch", self._config.model.name),
            "num_parameters": num_parameters(model),
            "num_train": len(self._train),
            "num_test": len(self._test),
            "class_counts": self._train.class_counts(num_classes).tolist(),
            "missing_classes": missing_classes(self._train.labels_N, num_classes),
            "checkpoint": f"party_{self._config.name}/model.pt",
        }
