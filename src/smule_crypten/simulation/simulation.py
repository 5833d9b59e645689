"""Both parties on one machine: spawn them, follow them, compare with what only a simulation can know, and report."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from smule_crypten.config.run import RunConfig
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.agreement import translate_checked
from smule_crypten.party.adversary import SimulatedAttack
from smule_crypten.party.dealing import run_simulated_dealer
from smule_crypten.party.environment import describe_hardware, describe_versions
from smule_crypten.party.inputs import (
    SimulatedData,
    build_party_model,
    load_simulated_data,
    party_seed,
    resolve_device,
)
from smule_crypten.party.launcher import Event, Job, run_jobs
from smule_crypten.party.ledger import epoch_event
from smule_crypten.party.party import run_party
from smule_crypten.party.recording import finally_written
from smule_crypten.party.run_folder import JOURNAL_FILE, TENSORBOARD_FOLDER, claimed_run_dir
from smule_crypten.report.journal import EpochJournal
from smule_crypten.report.progress import LiveProgress
from smule_crypten.report.schema import SCHEMA_VERSION
from smule_crypten.report.tensorboard import TensorBoardWriter
from smule_crypten.simulation.controls import run_controls
from smule_crypten.simulation.fidelity import FidelityCheck
from smule_crypten.training.evaluate import evaluate
from smule_crypten.training.trainer import Trainer
from smule_crypten.transport.meeting import DEALER, ROLES
from smule_crypten.types import PARTY_NAMES, RunRecord


def simulate(run: RunConfig, run_dir: Path, console: Console) -> RunRecord:
    """Run the whole protocol with two party processes and write all results into run_dir.

    Raises:
        SmuleError: anything a user can cause; a started run leaves a summary with status "failed".
        KeyboardInterrupt: after the parties were stopped; the summary says "interrupted".
    """
    data = check_inputs(run)
    with claimed_run_dir(run_dir, [run.party(rank, str(run_dir)) for rank in (0, 1)]):
        record = _new_record(run, run_dir)
        started = time.perf_counter()
        with finally_written(record, run_dir, started):
            _Simulation(run, run_dir, console, data, record).run()
    return record


def check_inputs(run: RunConfig) -> SimulatedData:
    """Find everything that is wrong with the inputs before a process is started.

    Raises:
        ConfigError, DataError, ModelError
    """
    scheme_class(run.scheme.name).check_options(run.scheme)
    resolve_device(run.device)
    data = load_simulated_data(run)
    for config in (run.party(rank, ".") for rank in (0, 1)):
        model = build_party_model(config, data.bundle)
        translate_checked(model, data.bundle.input_shape, data.pooled.images_NCHW)
    if run.attack.name != "none":
        SimulatedAttack(run, data.digest)
    return data


class _Simulation:
    def __init__(self, run: RunConfig, run_dir: Path, console: Console, data: SimulatedData, record: RunRecord) -> None:
        self._run = run
        self._run_dir = run_dir
        self._data = data
        self._record = record
        models = [build_party_model(run.party(rank, "."), data.bundle) for rank in (0, 1)]
        self._attack = None if run.attack.name == "none" else SimulatedAttack(run, data.digest)
        if self._attack is not None:
            self._data, models = self._attack.poisoned(data), self._attack.answering(models)
        changed = None if self._attack is None else self._attack.train
        self._fidelity = FidelityCheck(run, data, models, changed) if run.simulation.fidelity else None
        self._progress = LiveProgress(console, _epochs_by_task(run))

    def run(self) -> None:
        with (
            EpochJournal(self._run_dir / JOURNAL_FILE) as self._journal,
            TensorBoardWriter(self._run_dir / TENSORBOARD_FOLDER) as self._tensorboard,
            self._progress,
        ):
            self._run_parties()
            if self._run.simulation.controls:
                run_jobs(self._control_jobs(), self._on_event)
            pooled = self._train_pooled() if self._run.simulation.pooled else None
        if self._attack is not None:
            self._record.attack = self._attack.successes(self._run_dir, self._data.test, pooled)

    def _run_parties(self) -> None:
        with tempfile.TemporaryDirectory(prefix="smule-simulation-") as folder:
            results = run_jobs(self._jobs(folder), self._on_event)[: len(PARTY_NAMES)]
        seconds: list[dict[str, float]] = [result.pop("seconds") for result in results]
        # Of one party, so that they add up: the maxima of both could exceed the time of the run.
        longest = max(seconds, key=lambda party: sum(party.values()))
        self._record.seconds |= longest
        self._record.parties = dict(zip(PARTY_NAMES, results, strict=True))

    def _jobs(self, folder: str) -> list[Job]:
        """The parties and, if one deals, the dealer; they meet through a store in folder."""
        environment = {"WORLD_SIZE": "2", "RENDEZVOUS": f"file://{folder}/rendezvous"}
        evidence_dir = folder if self._fidelity is not None else None
        configs = [self._run.party(rank, str(self._run_dir)) for rank in (0, 1)]
        jobs = [
            Job(
                name=ROLES[config.rank],
                function=run_party,
                arguments=(config, evidence_dir, self._data.digest),
                environment={**environment, "RANK": str(config.rank)},
            )
            for config in configs
        ]
        if configs[0].needs_dealer:
            jobs.append(
                Job(
                    name=DEALER,
                    function=run_simulated_dealer,
                    arguments=(self._run.launch,),
                    environment={**environment, "RANK": "2"},
                )
            )
        return jobs

    def _control_jobs(self) -> list[Job]:
        """Apart from the parties, which are through: a control that fails takes nothing of theirs with it."""
        return [
            Job(
                name=f"controls of {ROLES[rank]}",
                function=run_controls,
                arguments=(self._run.party(rank, str(self._run_dir)), self._run.simulation.controls, self._data.digest),
                environment={},
            )
            for rank in (0, 1)
        ]

    def _on_event(self, sender: str, event: Event) -> None:
        kind = event["kind"]
        if kind in ("epoch", "earlier epoch"):
            self._add_epoch({key: value for key, value in event.items() if key != "kind"}, is_new=kind == "epoch")
        elif kind == "message":
            self._progress.message(event["text"])
        elif kind == "control":
            self._record.controls.setdefault(event["party"], {})[event["name"]] = event["test_accuracy"]
        elif kind == "evidence" and self._fidelity is not None:
            self._fidelity.add(sender.removeprefix("party "), event["epoch"], Path(event["path"]))
            self._record.fidelity = self._fidelity.results

    def _add_epoch(self, event: Event, is_new: bool = True) -> None:
        self._record.epochs.append(event)
        self._journal.append(event)
        self._tensorboard.add(event)
        self._progress.update(event, is_new=is_new)

    def _train_pooled(self) -> nn.Module:
        """Party a's network on the data of both parties: an upper bound that no party can reach alone."""
        run, bundle = self._run, self._data.bundle
        torch.set_num_threads(run.launch.threads)
        device = resolve_device(run.device)
        config = run.party(0, str(self._run_dir))
        model = build_party_model(config, bundle)
        train, test = self._data.pooled, self._data.test
        trainer = Trainer(model=model, train=train, config=run.training, seed=party_seed(config), device=device)
        accuracy = 0.0
        for _ in range(run.training.epochs):
            result = trainer.run_epoch()
            accuracy = evaluate(model, test, bundle.num_classes, device=device).accuracy
            self._add_epoch(epoch_event("pooled", "pooled", result, accuracy))
        self._record.pooled = {"test_accuracy": accuracy, "num_train": len(train)}
        return model


def _epochs_by_task(run: RunConfig) -> dict[tuple[str, str], int]:
    tasks = []
    for name in PARTY_NAMES:
        tasks += [(name, "standalone")] if run.training.standalone else []
        tasks += [(name, "smule")]
    tasks += [(name, control) for name in PARTY_NAMES for control in run.simulation.controls]
    if run.simulation.pooled:
        tasks.append(("pooled", "pooled"))
    return dict.fromkeys(tasks, run.training.epochs)


def _new_record(run: RunConfig, run_dir: Path) -> RunRecord:
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=run_dir.name,
        status="running",
        config={**run.model_dump(mode="json"), "insecure_choices": list(run.insecure_choices)},
        seed=run.seed,
        versions=describe_versions(),
        hardware=describe_hardware(run.device),
    )
