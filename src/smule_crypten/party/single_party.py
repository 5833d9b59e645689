"""One process of a run in this very process: between hosts, in three shells, or under CrypTen's launcher."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console

from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.party.dealing import run_simulated_dealer
from smule_crypten.party.launcher import Event
from smule_crypten.party.party import run_party
from smule_crypten.party.recording import PartyRecording
from smule_crypten.party.run_folder import LOG_FILE, claimed_run_dir, party_folder
from smule_crypten.report.formatting import percent
from smule_crypten.report.logs import log_file
from smule_crypten.report.progress import LiveProgress
from smule_crypten.report.summary import build_summary
from smule_crypten.report.tables import result_table
from smule_crypten.transport.meeting import DEALER, ENVIRONMENT_KEYS, ROLES, role_from_environment


def named_by_environment() -> bool:
    """Whether the environment says that this process has a role. Half a description counts, and is refused later."""
    return any(key in os.environ for key in ENVIRONMENT_KEYS)


def run_named_role(run: RunConfig, run_dir: Path, console: Console) -> None:
    """Run the role that RANK names; the others must be started with the same configuration.

    What needs both sides (pooled data, fidelity) is left out.

    Raises:
        SmuleError: anything a user can cause.
    """
    role = role_from_environment()
    if role == DEALER:
        exchanges = run_simulated_dealer(lambda event: None, run.launch)
        console.print(f"the dealer: dealt {exchanges} exchanges")
    else:
        run_single_party(run.party(ROLES.index(role), str(run_dir)), console)


def run_single_party(config: PartyConfig, console: Console) -> dict[str, Any]:
    """Run one party with progress and the final table on console; its files, report and log with them, are in
    party_<name>/ of its output folder.

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

        result = run_party(follow, config)
        recording.complete(result)
    console.print(result_table(build_summary(recording.record)))
    accuracy = percent(result["test_accuracy"])
    console.print(f"party {config.name}: test accuracy {accuracy}; results in {folder}", soft_wrap=True)
    return result
