"""The folder of a run: what lies where, and that a finished one is never written over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smule_crypten.errors import OutputError
from smule_crypten.files import output_error, write_atomic
from smule_crypten.processes.states import StateFolder
from smule_crypten.report.summary import SUMMARY_FILE
from smule_crypten.run_config import PartyConfig
from smule_crypten.types import RunStatus

JOURNAL_FILE = "record.jsonl"
LEDGER_FILE = "disclosures.jsonl"
STATES_FOLDER = "states"
MODEL_FILE = "model.pt"
STANDALONE_FILE = "standalone.pt"
RESULT_FILE = "party.json"


def party_folder(config: PartyConfig) -> Path:
    """Where a party keeps what is its own."""
    return Path(config.output_dir) / f"party_{config.name}"


def write_result(config: PartyConfig, status: RunStatus, result: Mapping[str, Any]) -> None:
    """Write party.json.

    Raises:
        OutputError: the folder cannot be written.
    """
    text = json.dumps({"status": status, **result}, indent=2)
    write_atomic(party_folder(config) / RESULT_FILE, lambda file: file.write(text.encode()))


def claim_run_dir(run_dir: Path, configs: Sequence[PartyConfig]) -> None:
    """Create the run's folder with those of the parties that run here, or take one whose run was cut off.

    In a simulation a run is finished when its summary says so, elsewhere when the party's result does.

    Raises:
        OutputError: it cannot be written, or holds a finished run or one of another configuration; either is left
            untouched.
    """
    results = [party_folder(config) / RESULT_FILE for config in configs]
    summary = run_dir / SUMMARY_FILE
    if len(configs) > 1 and summary.exists():
        results = [summary]
    if any(_is_completed(path) for path in results):
        raise OutputError(f"{run_dir} holds a finished run; set another folder (hydra.run.dir or output_dir)")
    for config in configs:
        StateFolder(party_folder(config) / STATES_FOLDER, config).check()
    for config in configs:
        folder = party_folder(config)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(run_dir, error) from error
        probe = folder / ".writable"
        write_atomic(probe, lambda file: file.write(b""))
        probe.unlink()


def _is_completed(path: Path) -> bool:
    """Whether the result or summary at path is that of a completed run."""
    if not path.exists():
        return False
    try:
        status = json.loads(path.read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError, LookupError, TypeError):
        raise OutputError(f"{path} is damaged; remove it to run again, or set another folder") from None
    return bool(status == "completed")
