"""Keeps the status of this process in its folder, from its begin to its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from smule_crypten.errors import (
    INTERRUPTED_EXIT_CODE,
    BudgetError,
    ConfigError,
    CredentialError,
    OutputError,
    PeerError,
    SmuleError,
    TermsError,
    printable,
)
from smule_crypten.files import write_text
from smule_crypten.status.liveness import alive
from smule_crypten.status.record import STATUS_FILE, Progress, Role, Status, now

_TOLD = (PeerError, ConfigError, OutputError, CredentialError, BudgetError, TermsError)
"""Errors whose messages speak of files, settings and other processes, and of nothing that was learned from."""
_PULSE_SECONDS = 5.0
_LONGEST_ERROR = 500


class StatusKeeper:
    """Writes each change at once. Made by kept_status; a method raises OutputError where the folder cannot be written.

    Args:
        folder: of this process alone.
    """

    def __init__(self, folder: Path, status: Status) -> None:
        self._path, self._status = folder / STATUS_FILE, status
        self._write()

    def take(self, progress: Progress) -> None:
        """Something has come to an end, begun, or gone on."""
        self._status = self._status.after(progress)
        self._write()

    def end(self, error: BaseException | None) -> None:
        ended = {"phase": "ended", "peer_connected": False, "progress_at": now()}
        code = exit_code_of(error)
        self._status = self._status.model_copy(update={**ended, "exit_code": code, "error": _in_one_line(error)})
        self._write()

    def _write(self) -> None:
        write_text(self._path, self._status.model_dump_json(indent=2) + "\n")


@contextmanager
def kept_status(folder: Path, role: Role, epochs: int | None = None) -> Iterator[StatusKeeper]:
    """Keep the status of this process, and say in the end how it ended.

    Args:
        folder: of this process alone, which is there.
        epochs: of each phase; None of a dealer.

    Raises:
        OutputError: the folder cannot be written.
    """
    status = Status(
        role=role,
        pid=os.getpid(),
        started_at=now(),
        progress_at=now(),
        phase="starting",
        epoch=None if epochs is None else 0,
        epochs=epochs,
        exchanges=0,
        peer_connected=False,
    )
    with alive(folder):
        keeper = StatusKeeper(folder, status)
        try:
            yield keeper
        except BaseException as error:
            with suppress(OutputError):  # the first error is the one to show
                keeper.end(error)
            raise
        keeper.end(None)


class Pulse:
    """Tells that work goes on, whenever it is called and some seconds have passed since it last did."""

    def __init__(self, tell: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._told_at = clock()

    def __call__(self) -> None:
        if self._clock() - self._told_at >= _PULSE_SECONDS:
            self._told_at = self._clock()
            self._tell(Progress())


def exit_code_of(error: BaseException | None) -> int:
    """With which a command ends after it (docs/exit-codes.md)."""
    if error is None:
        return 0
    if isinstance(error, SmuleError):
        return error.exit_code
    if isinstance(error, OSError):
        return OutputError.exit_code
    return INTERRUPTED_EXIT_CODE if isinstance(error, KeyboardInterrupt) else SmuleError.exit_code


def _in_one_line(error: BaseException | None) -> str | None:
    if error is None:
        return None
    if isinstance(error, KeyboardInterrupt):
        return "stopped by Ctrl-C or SIGTERM"
    kind = type(error).__name__
    return printable(f"{kind}: {error}")[:_LONGEST_ERROR] if isinstance(error, _TOLD) else f"{kind}; see the log"
