"""One party of a run in this very process, with its progress, record and log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from smule_crypten.processes.launcher import Emit, Event
from smule_crypten.processes.party import run_party
from smule_crypten.processes.recording import PartyRecording
from smule_crypten.processes.run_folder import LOG_FILE, claimed_run_dir, party_folder
from smule_crypten.report.formatting import percent
from smule_crypten.report.logs import log_file
from smule_crypten.report.progress import LiveProgress
from smule_crypten.report.summary import build_summary
from smule_crypten.report.tables import result_table
from smule_crypten.run_config import PartyConfig

Run = Callable[[Emit, PartyConfig], dict[str, Any]]


def run_single_party(config: PartyConfig, console: Console, run: Run = run_party) -> dict[str, Any]:
    """Run one party with progress and the final table on console; its files, report and log with them, are in
    party_<name>/ of its output folder.

    Args:
        run: what a simulation runs in place of run_party.

    Raises:
        SmuleError: anything a user can cause.
    """
    phases = ["standalone", "smule"] if config.training.standalone else ["smule"]
    progress = LiveProgress(console, {(config.name, phase): config.training.epochs for phase in phases})
    folder = party_folder(config)
    with (
        claimed_run_dir(Path(config.output_dir), [config]),
        log_file(folder / LOG_FILE),
        PartyRecording(config) as recording,
        progress,
    ):

        def follow(event: Event) -> None:
            recording.add(event)
            if event["kind"] in ("epoch", "earlier epoch"):
                progress.update(event, is_new=event["kind"] == "epoch")
            elif event["kind"] == "message":
                progress.message(event["text"])

        result = run(follow, config)
        recording.complete(result)
    console.print(result_table(build_summary(recording.record)))
    accuracy = percent(result["test_accuracy"])
    console.print(f"party {config.name}: test accuracy {accuracy}; results in {folder}", soft_wrap=True)
    return result
