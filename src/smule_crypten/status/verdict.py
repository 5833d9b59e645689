"""Whether a process is well, by its status and by whether it is still there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from smule_crypten.errors import StatusError
from smule_crypten.status.liveness import is_alive
from smule_crypten.status.record import STATUS_FILE, Status, now, read_status

DEFAULT_STALE_AFTER_SECONDS = 3600.0
Health = Literal["running", "finished", "failed", "dead", "stale"]
WELL: tuple[Health, ...] = ("running", "finished")
_FOLDERS = ("party_a", "party_b", "dealer")
_WAITS = ("waiting", "serving")
"""Phases in which others decide when it goes on: how long a party waits is launch.join_seconds, and a dealer waits for
as long as it takes. Their links have deadlines of their own."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a process is.

    health: running; finished, with exit code 0; failed, with another one; dead, without a word, as after a kill or a
    power cut; stale, there but without progress for too long. idle_seconds: since the last progress.
    """

    folder: Path
    status: Status
    health: Health
    idle_seconds: float

    @property
    def is_well(self) -> bool:
        return self.health in WELL

    @property
    def text(self) -> str:
        """One line for people."""
        status = self.status
        match self.health:
            case "finished":
                return "finished"
            case "failed":
                return f"ended with exit code {status.exit_code}: {status.error}"
            case "dead":
                return "dead: it ended without a word, after a kill or a power cut; start the same command again"
            case "stale":
                return f"stale: no progress for {self.idle_seconds:.0f} seconds"
            case _:
                return "running"


def folders_of(path: Path) -> list[Path]:
    """Those with a status: path itself, or of an output folder those of its parties and its dealer.

    Raises:
        StatusError: there is none.
    """
    found = [folder for folder in (path, *(path / name for name in _FOLDERS)) if (folder / STATUS_FILE).exists()]
    if not found:
        raise StatusError(
            f"no {STATUS_FILE} in {path}: no smule-party or smule-dealer was started there, or it is another folder; "
            "of a simulation by smule see summary.json, or smule-watch"
        )
    return found


def judged(folder: Path, stale_after: float, at: str | None = None) -> Verdict:
    """Of the process whose folder this is.

    Args:
        stale_after: seconds without progress after which a process counts as stale.
        at: the time, as in the status; None for now.

    Raises:
        StatusError: as read_status and is_alive.
    """
    # First the lock: a process that ends in between has written its end before it lets the lock go.
    is_there = is_alive(folder)
    status = read_status(folder)
    idle = dt.datetime.fromisoformat(at or now()) - dt.datetime.fromisoformat(status.progress_at)
    idle_seconds = max(0.0, idle.total_seconds())
    return Verdict(
        folder=folder,
        status=status,
        health=_health(status, is_there=is_there, is_late=idle_seconds > stale_after),
        idle_seconds=idle_seconds,
    )


def _health(status: Status, *, is_there: bool, is_late: bool) -> Health:
    if status.exit_code is not None:
        return "failed" if status.exit_code else "finished"
    if not is_there:
        return "dead"
    return "stale" if is_late and status.phase not in _WAITS else "running"


def check_all(verdicts: Sequence[Verdict]) -> None:
    """Raises StatusError where one of them is not well."""
    ill = [f"{verdict.folder}: {verdict.text}" for verdict in verdicts if not verdict.is_well]
    if ill:
        raise StatusError("; ".join(ill))
