"""Both parties on one machine: start them, follow them, compare with what only a simulation can know, and report."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from smule_crypten.compute.device import resolve_device
from smule_crypten.compute.started import require_processes
from smule_crypten.config.run import RunConfig
from smule_crypten.features.computing import Say
from smule_crypten.fork_server import refuse_in_imported_script
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.agreement import translate_checked
from smule_crypten.models.calibration import calibration_positions
from smule_crypten.party.dealing import jobs_that_meet
from smule_crypten.party.events import ControlEnded, EpochEnded, Event, EvidenceLeft, Message
from smule_crypten.party.figures import evaluation_record
from smule_crypten.party.inputs import build_party_model
from smule_crypten.party.launcher import Job, run_jobs
from smule_crypten.party.ledger import epoch_record
from smule_crypten.party.recording import finally_written, new_record, note_data
from smule_crypten.party.run_folder import TENSORBOARD_FOLDER, claimed_run_dir
from smule_crypten.report.journal import JOURNAL_FILE, EpochJournal
from smule_crypten.report.progress import LiveProgress
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.run_records import AttackRecord, RunRecord, RunSummary
from smule_crypten.report.summary import build_summary
from smule_crypten.report.tensorboard import TensorBoardWriter
from smule_crypten.simulation.adversary import SimulatedAttack
from smule_crypten.simulation.controls import run_controls
from smule_crypten.simulation.fidelity import FidelityCheck
from smule_crypten.simulation.simulated_data import (
    SimulatedData,
    load_simulated_data,
    pooled_learner,
    with_named_networks,
)
from smule_crypten.simulation.simulated_party import run_simulated_party
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.kept_training import KeptTraining
from smule_crypten.training.trainer import EpochResult
from smule_crypten.transport.meeting import ROLES
from smule_crypten.types import PARTY_NAMES

log = logging.getLogger(__name__)


def simulate(run: RunConfig, folder: str | Path, *, progress: bool = False) -> RunSummary:
    """Run two parties, and a dealer where the scheme needs one, as processes here, which learn as `smule` has them do.

    A script calls this below ``if __name__ == "__main__":``, since the processes import the script. A run that was cut
    off goes on when it is simulated again with the same folder.

    Args:
        run: from `configure`.
        folder: where to write all files of the run (docs/results.md); it is made.
        progress: show each epoch, as bars on a terminal and as lines elsewhere.

    Returns:
        What the file summary.json says: accuracies 0 to 1 at ``parties["a"].test_accuracy`` and, of training
        alone, ``parties["a"].standalone_test_accuracy``, bytes and rounds at ``communication``.

    Raises:
        SmuleError: anything a user can cause; a started run leaves a summary with status "failed".
        KeyboardInterrupt: after the parties were stopped; the summary says "interrupted".

    Example:
        >>> import smule_crypten as smule
        >>> run = smule.configure("training.epochs=1", "data.max_train=200", "simulation.controls=[]")
        >>> summary = smule.simulate(run, "runs/example")
        >>> summary.status, summary.communication.bytes_total > 0
        ('completed', True)
    """
    refuse_in_imported_script()
    console = Console() if progress else Console(quiet=True, force_terminal=False)
    return build_summary(run_simulation(run, Path(folder), console))


def run_simulation(run: RunConfig, run_dir: Path, console: Console) -> RunRecord:
    """As `simulate`, with all that is known of the run in the end."""
    data = check_inputs(run, lambda text: console.print(text, highlight=False))
    asked, run = run, with_named_networks(run, data.bundle)
    if run != asked:
        names = ", ".join(f"{name} {run.party_section(rank).model.name}" for rank, name in enumerate(PARTY_NAMES))
        console.print(
            f"networks for samples of shape {data.bundle.input_shape}: {names}", highlight=False, soft_wrap=True
        )
    with claimed_run_dir(run_dir, [run.party(rank, str(run_dir)) for rank in (0, 1)]):
        record = new_record(run, run_dir.name)
        note_data(record, data.bundle.notes)
        started = time.perf_counter()
        with finally_written(record, run_dir, started):
            _Simulation(run, run_dir, console, data, record).run()
    return record


def check_inputs(run: RunConfig, say: Say = log.info) -> SimulatedData:
    """Find everything that is wrong with the inputs before a process is started.

    Args:
        say: hears how far features are.

    Raises:
        ConfigError, DataError, ModelError
    """
    scheme_class(run.scheme.name).check_options(run.scheme)
    resolve_device(run.device)
    require_processes(run.compute, run.device)
    data = load_simulated_data(run, say=say)
    pooled = data.pooled.train
    some_NX = pooled.read(calibration_positions(len(pooled)))
    for config in (run.party(rank, ".") for rank in (0, 1)):
        model = build_party_model(config, data.bundle)
        translate_checked(model, data.bundle.input_shape, some_NX)
    if run.attack.name != "none":
        SimulatedAttack(run, data)
    return data


class _Simulation:
    def __init__(self, run: RunConfig, run_dir: Path, console: Console, data: SimulatedData, record: RunRecord) -> None:
        self._run = run
        self._run_dir = run_dir
        self._data = data
        self._record = record
        models = [build_party_model(run.party(rank, "."), data.bundle) for rank in (0, 1)]
        self._attack = None if run.attack.name == "none" else SimulatedAttack(run, data)
        if self._attack is not None:
            self._data, models = self._attack.data, self._attack.answering(models)
        changed = None if self._attack is None else self._attack.train
        self._fidelity = FidelityCheck(run, data, models, changed) if run.simulation.fidelity else None
        self._progress = LiveProgress(console, _epochs_by_task(run), record.facts.metric)

    def run(self) -> None:
        with (
            EpochJournal(self._run_dir / JOURNAL_FILE) as self._journal,
            TensorBoardWriter(self._run_dir / TENSORBOARD_FOLDER) as self._tensorboard,
            self._progress,
        ):
            self._run_parties()
            if self._run.controls:
                run_jobs(self._control_jobs(), self._on_event)
            pooled = self._train_pooled() if self._run.simulation.pooled else None
        if self._attack is not None:
            success = self._attack.successes(self._run_dir, self._data.test, pooled)
            attack = self._run.attack
            self._record.attack = AttackRecord(name=attack.name, party=attack.party, success=success)

    def _run_parties(self) -> None:
        with tempfile.TemporaryDirectory(prefix="smule-simulation-") as folder:
            results = run_jobs(self._jobs(folder), self._on_event)[: len(PARTY_NAMES)]
        self._record.parties = dict(zip(PARTY_NAMES, results, strict=True))

    def _jobs(self, folder: str) -> list[Job]:
        """The parties and, if one deals, the dealer; they meet through a store in folder."""
        evidence_dir = folder if self._fidelity is not None else None
        configs = [self._run.party(rank, str(self._run_dir)) for rank in (0, 1)]
        arguments = [(config, evidence_dir, self._data.digest) for config in configs]
        return jobs_that_meet(
            folder, run_simulated_party, arguments, self._run.launch, with_dealer=configs[0].needs_dealer
        )

    def _control_jobs(self) -> list[Job]:
        """Apart from the parties, which are through: a control that fails takes nothing of theirs with it."""
        return [
            Job(
                name=f"controls of {ROLES[rank]}",
                function=run_controls,
                arguments=(self._run.party(rank, str(self._run_dir)), self._run.controls, self._data.digest),
                environment={},
            )
            for rank in (0, 1)
        ]

    def _on_event(self, sender: str, event: Event) -> None:
        match event:
            case EpochEnded(record, is_new):
                self._add_epoch(record, is_new)
            case Message(text):
                self._progress.message(text)
            case ControlEnded(party, name, score, evaluation, gains):
                self._record.controls.setdefault(party, {})[name] = score
                self._record.evaluations.setdefault(party, {})[name] = evaluation
                self._record.gains.setdefault(party, {})[name] = gains
            case EvidenceLeft(party, epoch, path) if self._fidelity is not None:
                self._fidelity.add(party, epoch, path)
                self._record.fidelity = self._fidelity.results

    def _add_epoch(self, epoch: EpochRecord, is_new: bool = True) -> None:
        self._record.epochs.append(epoch)
        self._journal.append(epoch)
        self._tensorboard.add(epoch)
        self._progress.update(epoch, is_new=is_new)

    def _train_pooled(self) -> nn.Module:
        """Party a's network on the data of both parties: an upper bound that no party can reach alone."""
        run = self._run
        torch.set_num_threads(run.launch.threads)
        learner = pooled_learner(run, self._data)

        def on_epoch(result: EpochResult, tested: Outcome) -> None:
            self._add_epoch(epoch_record("pooled", "pooled", result, tested))

        finished = KeptTraining(learner, learner.trainer, "pooled", on_epoch).run()
        self._record.pooled_test_accuracy = finished.accuracy
        found = learner.evaluated(finished.model)
        self._record.pooled_evaluation = evaluation_record(found, self._data.bundle.class_names).in_short
        return finished.model


def _epochs_by_task(run: RunConfig) -> dict[tuple[str, str], int]:
    tasks = []
    for name in PARTY_NAMES:
        tasks += [(name, "standalone")] if run.training.standalone else []
        tasks += [(name, "smule")]
    tasks += [(name, control) for name in PARTY_NAMES for control in run.controls]
    if run.simulation.pooled:
        tasks.append(("pooled", "pooled"))
    return dict.fromkeys(tasks, run.training.epochs)
