"""The folder of a run: what lies where, and that a finished one is never written over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smule_crypten.errors import OutputError
from smule_crypten.files import output_error, write_atomic
from smule_crypten.processes.states import StateFolder
from smule_crypten.run_config import PartyConfig

JOURNAL_FILE = "record.jsonl"
LEDGER_FILE = "disclosures.jsonl"
STATES_FOLDER = "states"
MODEL_FILE = "model.pt"
STANDALONE_FILE = "standalone.pt"
RESULT_FILE = "party.json"


def party_folder(config: PartyConfig) -> Path:
    """Where a party keeps what is its own."""
    return Path(config.output_dir) / f"party_{config.name}"


def claim_run_dir(run_dir: Path, configs: Sequence[PartyConfig]) -> None:
    """Create the run's folder with those of the parties that run here, or take one whose run was cut off.

    Raises:
        OutputError: it cannot be written, or holds a finished run or one of another configuration; either is left
            untouched.
    """
    for config in configs:
        folder = party_folder(config)
        if (folder / RESULT_FILE).exists():
            raise OutputError(f"{run_dir} holds a finished run; set hydra.run.dir to a new folder")
        StateFolder(folder / STATES_FOLDER, config).check()
    for config in configs:
        folder = party_folder(config)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(run_dir, error) from error
        probe = folder / ".writable"
        write_atomic(probe, lambda file: file.write(b""))
        probe.unlink()
