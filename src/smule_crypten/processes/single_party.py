"""One of the two parties, as WORLD_SIZE, RANK and RENDEZVOUS say: two shells, or CrypTen's launcher."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from smule_crypten.config import PartyConfig, RunConfig
from smule_crypten.files import write_atomic
from smule_crypten.mpc.session import ENVIRONMENT_KEYS, rank_from_environment
from smule_crypten.processes.launcher import Emit, Event, Job, run_jobs
from smule_crypten.processes.party import run_party
from smule_crypten.processes.run_folder import claim_run_dir
from smule_crypten.report.formatting import percent
from smule_crypten.report.progress import LiveProgress

Run = Callable[[Emit, PartyConfig], dict[str, Any]]


def named_by_environment() -> bool:
    """Whether the environment says that this process is a party. Half a description counts, and is refused later."""
    return any(key in os.environ for key in ENVIRONMENT_KEYS)


def run_in_own_process(emit: Emit, config: PartyConfig) -> dict[str, Any]:
    """Let a process of its own be the party, because Ctrl-C is not heard while a process waits for its peer."""
    job = Job(name=f"party {config.name}", function=run_party, arguments=(config,), environment={})
    (result,) = run_jobs([job], lambda sender, event: emit(event))
    return result  # type: ignore[no-any-return]


def run_single_party(run: RunConfig, run_dir: Path, console: Console, how: Run = run_in_own_process) -> dict[str, Any]:
    """Run the party that RANK names; the other one must be started with the same configuration.

    Writes party_<name>/ with checkpoints, record.jsonl and party.json, this party's own view. What needs both sides
    (pooled data, fidelity) is left out. Returns the content of party.json.

    Args:
        how: run_in_own_process, or run_party where this very process must be the party.

    Raises:
        SmuleError: anything a user can cause.
    """
    config = PartyConfig(rank=rank_from_environment(), run=run, output_dir=str(run_dir))
    phases = ["standalone", "smule"] if run.training.standalone else ["smule"]
    claim_run_dir(run_dir, [config.name])
    progress = LiveProgress(console, {(config.name, phase): run.training.epochs for phase in phases})

    def show(event: Event) -> None:
        if event["kind"] == "epoch":
            progress.update(event)
        elif event["kind"] == "message":
            progress.message(event["text"])

    with progress:
        result = how(show, config)
    folder = run_dir / f"party_{config.name}"
    text = json.dumps(result, indent=2)
    write_atomic(folder / "party.json", lambda file: file.write(text.encode()))
    accuracy = percent(result["test_accuracy"])
    console.print(f"party {config.name}: test accuracy {accuracy}; results in {folder}", soft_wrap=True)
    return result
