"""What status.json holds. docs/deployment.md explains it to operators and to programs.

No line of it holds samples, labels, logits or the message of an error that may name such; the log has that one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from smule_crypten.config.sections import Section
from smule_crypten.errors import StatusError

STATUS_FILE = "status.json"
Role = Literal["a", "b", "dealer"]
Phase = Literal["starting", "waiting", "agreeing", "joint_head", "standalone", "exchange", "smule", "serving", "ended"]
_OF_MUTUAL_LEARNING = {"exchange", "smule"}
"""Phases that take turns, and count their epochs together."""
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$")]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What has changed, as a process tells of it; None for what has not. Without any change it says: still at work."""

    phase: Phase | None = None
    epoch: int | None = None
    exchanges: int | None = None
    peer_connected: bool | None = None


class Status(Section):
    """Of one process.

    pid: as its own host or container numbers it. started_at, progress_at: UTC, by the clock of this machine. epoch,
    epochs: of the phase, done and in all; null of a dealer. exchanges: through so far, in all attempts at a run; of a
    dealer, dealt for by this process. exit_code: null while it runs. error: one line on how it ended, null where all
    went well.
    """

    schema_version: Literal[1] = 1
    role: Role
    pid: int
    started_at: Time
    progress_at: Time
    phase: Phase
    epoch: int | None
    epochs: int | None
    exchanges: int
    peer_connected: bool
    exit_code: int | None = None
    error: str | None = None

    def after(self, progress: Progress) -> Status:
        """The same after this, which happens now."""
        changes = {name: value for name, value in vars(progress).items() if value is not None}
        begins = progress.phase not in (None, self.phase) and not {progress.phase, self.phase} <= _OF_MUTUAL_LEARNING
        if begins and self.epoch is not None:
            changes.setdefault("epoch", 0)
        return self.model_copy(update={**changes, "progress_at": now()})


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def read_status(folder: Path) -> Status:
    """Of the process whose folder this is.

    Raises:
        StatusError: there is no status, or it cannot be read.
    """
    path = folder / STATUS_FILE
    try:
        return Status.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StatusError(f"cannot read status {path}: {error.strerror}") from None
    except ValidationError:
        raise StatusError(f"status {path} is damaged, or of another version; a process writes it again") from None
