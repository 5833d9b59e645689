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
from smule_crypten.files import LOCK_FILE, exclusive
from smule_crypten.launch.outcome import show
from smule_crypten.report.sweep import collect_sweep, write_sweep_summary

_HYDRAS_FILE = "multirun.yaml"
_ANOTHER_FOLDER = "set hydra.sweep.dir to a new folder"


class SweepSummary(Callback):
    """Remembers the folder of the sweep, keeps it for this process, and refuses one that holds an earlier sweep.

    Hydra turns the errors of callbacks into warnings, so the summary itself is left to finish_sweep.
    """

    folder: ClassVar[Path | None] = None
    lock: ClassVar[contextlib.ExitStack] = contextlib.ExitStack()
    """Held until the process ends."""

    @classmethod
    def forget(cls) -> None:
        """What an earlier command of this process has left."""
        cls.folder = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        try:
            if not (folder / _HYDRAS_FILE).exists():
                folder.mkdir(parents=True, exist_ok=True)
                self.lock.enter_context(exclusive(folder / LOCK_FILE, str(folder), if_taken=_ANOTHER_FOLDER))
            if (folder / _HYDRAS_FILE).exists():
                raise OutputError(f"{folder} holds an earlier sweep; {_ANOTHER_FOLDER}")
        except (OutputError, OSError) as error:
            sys.exit(show(error).exit_code)
        SweepSummary.folder = folder


def finish_sweep(folder: Path) -> None:
    """Write sweep_summary.csv and its plot, and print the table; a sweep without a job leaves nothing behind.

    Raises:
        OutputError: the folder cannot be written.
        PartyFailedError: a job did not complete.
    """
    jobs = collect_sweep(folder) if folder.exists() else []
    if not jobs:
        _remove_trace_of_hydra(folder)
        return
    console = Console()
    console.print(write_sweep_summary(folder))
    console.print(f"Sweep folder: {folder}", soft_wrap=True)
    num_failed = sum(job.status != "completed" for job in jobs)
    if num_failed:
        raise PartyFailedError(f"{num_failed} job(s) of the sweep failed; see {folder / 'sweep_summary.csv'}")


def _remove_trace_of_hydra(folder: Path) -> None:
    with contextlib.suppress(OSError):
        (folder / _HYDRAS_FILE).unlink()
        (folder / LOCK_FILE).unlink()
        folder.rmdir()
