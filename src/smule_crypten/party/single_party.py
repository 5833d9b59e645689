"""One party of a run in this very process, with its progress, record and log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from smule_crypten.config.run import PartyConfig
from smule_crypten.party.events import Emit, EpochEnded, Event, Message
from smule_crypten.party.inputs import PartyInputs, load_party_inputs
from smule_crypten.party.party import run_party
from smule_crypten.party.recording import PartyRecording, shown_metric
from smule_crypten.party.run_folder import LOG_FILE, claimed_run_dir, party_folder
from smule_crypten.report.logs import log_file
from smule_crypten.report.metric_text import metric_title, with_interval
from smule_crypten.report.progress import LiveProgress
from smule_crypten.report.records import PartyRecord
from smule_crypten.report.summary import build_summary
from smule_crypten.report.tables import result_table
from smule_crypten.status.keeper import kept_status
from smule_crypten.status.record import Phase, Progress

Run = Callable[[Emit, PartyInputs], PartyRecord]


def run_single_party(config: PartyConfig, console: Console, run: Run = run_party) -> PartyRecord:
    """Run one party with progress and the final table on console.

    Its files, report and log with them, are in party_<name>/ of its output folder. The data are loaded first: by what
    follows from them a run that was cut off is known again.

    Args:
        run: what a simulation runs in place of run_party.

    Raises:
        SmuleError: anything a user can cause.
    """
    # Before the data: what CrypTen's launcher has forked would wait for ever for threads of its parent.
    torch.set_num_threads(config.launch.threads)
    config = (inputs := load_party_inputs(config)).config
    phases = ["standalone", "smule"] if config.training.standalone else ["smule"]
    metric = shown_metric(config)
    progress = LiveProgress(console, {(config.name, phase): config.training.epochs for phase in phases}, metric)
    folder = party_folder(config)
    with (
        claimed_run_dir(Path(config.output_dir), [config]),
        log_file(folder / LOG_FILE),
        kept_status(folder, config.role, config.training.epochs) as status,
        PartyRecording(config) as recording,
        progress,
    ):

        def follow(event: Event) -> None:
            recording.add(event)
            if isinstance(event, Progress):
                status.take(event)
            elif isinstance(event, EpochEnded):
                phase: Phase = "standalone" if event.record.phase == "standalone" else "smule"
                status.take(Progress(phase=phase, epoch=event.record.epoch))
                progress.update(event.record, is_new=event.is_new)
            elif isinstance(event, Message):
                progress.message(event.text)

        result = run(follow, inputs)
        recording.complete(result)
    summary = build_summary(recording.record)
    console.print(result_table(summary))
    figure = with_interval(metric, summary.parties[config.name].figure("smule", metric))
    console.print(f"party {config.name}: test {metric_title(metric)} {figure}; results in {folder}", soft_wrap=True)
    return result
