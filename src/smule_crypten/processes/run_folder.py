"""The folder of a run: taken once, never written over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smule_crypten.errors import OutputError
from smule_crypten.files import output_error, write_atomic
from smule_crypten.report.summary import SUMMARY_FILE
from smule_crypten.types import PARTY_NAMES

JOURNAL_FILE = "record.jsonl"


def claim_run_dir(run_dir: Path, parties: Sequence[str] = PARTY_NAMES) -> None:
    """Create the run's folder with those of the parties that run here.

    Raises:
        OutputError: it cannot be written, or holds an earlier run, which is left untouched.
    """
    folders = [run_dir / f"party_{name}" for name in parties]
    results = [run_dir / SUMMARY_FILE, *(folder / JOURNAL_FILE for folder in folders)]
    # An empty journal is left by a party whose peer never came; the next attempt may have the same folder.
    if any(path.exists() and path.stat().st_size for path in results):
        raise OutputError(f"{run_dir} holds an earlier run; set hydra.run.dir to a new folder")
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(run_dir, error) from error
        probe = folder / ".writable"
        write_atomic(probe, lambda file: file.write(b""))
        probe.unlink()
