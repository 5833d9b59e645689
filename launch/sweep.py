"""What happens before the first and after the last job of a Hydra sweep."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from smule_crypten.errors import OutputError, PartyFailedError
from smule_crypten.launch.outcome import show
from smule_crypten.report.sweep import collect_sweep, write_sweep_summary

_HYDRAS_FILE = "multirun.yaml"


class SweepSummary(Callback):
    """Remembers the folder of the sweep, and refuses one that holds an earlier sweep.

    Hydra turns the errors of callbacks into warnings, so the summary itself is left to finish_sweep.
    """

    folder: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        if (folder / _HYDRAS_FILE).exists():
            error = show(OutputError(f"{folder} holds an earlier sweep; set hydra.sweep.dir to a new folder"))
            sys.exit(error.exit_code)
        SweepSummary.folder = folder


def finish_sweep(folder: Path) -> None:
    """Write sweep_summary.csv and its plot, and print the table; a sweep without a job leaves nothing behind.

    Raises:
        OutputError: the folder cannot be written.
        PartyFailedError: a job did not complete.
    """
    rows = collect_sweep(folder) if folder.exists() else []
    if not rows:
        _remove_trace_of_hydra(folder)
        return
    console = Console()
    console.print(write_sweep_summary(folder))
    console.print(f"Sweep folder: {folder}", soft_wrap=True)
    num_failed = sum(row["status"] != "completed" for row in rows)
    if num_failed:
        raise PartyFailedError(f"{num_failed} job(s) of the sweep failed; see {folder / 'sweep_summary.csv'}")


def _remove_trace_of_hydra(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / _HYDRAS_FILE).unlink()
        folder.rmdir()
