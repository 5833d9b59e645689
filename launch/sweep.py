"""What happens before the first and after the last job of a Hydra sweep."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from yaml import YAMLError

from smule_crypten.errors import DataError, OutputError, PartyFailedError
from smule_crypten.files import LOCK_FILE, exclusive
from smule_crypten.launch.outcome import show
from smule_crypten.report.summary import read_summary
from smule_crypten.report.sweep import collect_sweep, write_sweep_summary

_HYDRAS_FILE = "multirun.yaml"
_ANOTHER_FOLDER = "set hydra.sweep.dir to a new folder"


class SweepSummary(Callback):
    """Remembers the folder of the sweep, keeps it for this process, and refuses one that holds another sweep.

    Hydra turns the errors of callbacks into warnings, so the summary itself is left to finish_sweep.
    """

    folder: ClassVar[Path | None] = None
    lock: ClassVar[contextlib.ExitStack] = contextlib.ExitStack()
    """Held until the process ends, or begins another sweep."""

    @classmethod
    def forget(cls) -> None:
        """What an earlier command of this process has left."""
        cls.folder = None
        cls.lock.close()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.lock.enter_context(exclusive(folder / LOCK_FILE, str(folder), if_taken=_ANOTHER_FOLDER))
            _refuse_another_sweep(folder, config)
        except (OutputError, OSError) as error:
            sys.exit(show(error).exit_code)
        SweepSummary.folder = folder


def _refuse_another_sweep(folder: Path, config: DictConfig) -> None:
    """Raises OutputError where the folder holds a sweep whose jobs are not those of this one."""
    path = folder / _HYDRAS_FILE
    if not path.exists():
        return
    try:
        begun = _jobs_of(OmegaConf.load(path))
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError):
        begun = None
    if begun != _jobs_of(config):
        raise OutputError(f"{folder} holds another sweep; give its own command to go on with it, or {_ANOTHER_FOLDER}")


def _jobs_of(config: Any) -> list[object]:
    """What decides which jobs a sweep has. How they are launched may change."""
    return [OmegaConf.select(config, key) for key in ("hydra.overrides.task", "hydra.sweeper.params")]


def is_completed(run_dir: Path) -> bool:
    """Whether an earlier attempt at this job of a sweep came to its end; one whose summary is damaged did not."""
    try:
        return read_summary(run_dir).status == "completed"
    except (DataError, OSError, ValueError):
        return False


def lost_jobs(error: Exception) -> PartyFailedError:
    """What to say where the launcher itself failed, as it does when one of its jobs was killed from outside."""
    first, *_ = [*str(error).splitlines(), type(error).__name__]
    advice = "once the other jobs have ended, the same command goes on with those that are not completed"
    return PartyFailedError(f"the launcher lost a job: {first.rstrip('.')}; {advice}")


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
