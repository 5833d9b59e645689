"""One party in this very process, as WORLD_SIZE, RANK and RENDEZVOUS say: two shells, or CrypTen's launcher."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from smule_crypten.config import PartyConfig, RunConfig
from smule_crypten.files import write_atomic
from smule_crypten.mpc.session import ENVIRONMENT_KEYS, rank_from_environment
from smule_crypten.processes.launcher import Event
from smule_crypten.processes.party import run_party
from smule_crypten.report.progress import LiveProgress


def named_by_environment() -> bool:
    """Whether the environment says that this process is a party. Half a description counts, and is refused later."""
    return any(key in os.environ for key in ENVIRONMENT_KEYS)


def run_single_party(run: RunConfig, run_dir: Path, console: Console) -> dict[str, Any]:
    """Run the party that RANK names; the other one must be started with the same configuration.

    Writes party_<name>/ with checkpoints, record.jsonl and party.json, this party's own view. What needs both sides
    (pooled data, fidelity) is left out. Returns the content of party.json.

    Raises:
        SmuleError: anything a user can cause.
    """
    config = PartyConfig(rank=rank_from_environment(), run=run, output_dir=str(run_dir))
    phases = ["standalone", "smule"] if run.training.standalone else ["smule"]
    progress = LiveProgress(console, {(config.name, phase): run.training.epochs for phase in phases})

    def show(event: Event) -> None:
        if event["kind"] == "epoch":
            progress.update(event)
        elif event["kind"] == "message":
            progress.message(event["text"])

    with progress:
        result = run_party(show, config)
    folder = run_dir / f"party_{config.name}"
    text = json.dumps(result, indent=2)
    write_atomic(folder / "party.json", lambda file: file.write(text.encode()))
    console.print(
        f"party {config.name}: test accuracy {result['test_accuracy']:.1%}; results in {folder}", soft_wrap=True
    )
    return result
