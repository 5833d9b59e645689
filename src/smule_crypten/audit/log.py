"""The file of an audit log: append-only JSON lines, each on disk before the process goes on.

A line that a crash cut off stays where it is. The next process ends it, and says so in a line `recovered`; until then
whoever verifies the log is told of it. Anything else that is no line, or does not follow the one before, is damage.
Lines that were cut off at the end as a whole, or a log that was written again, are noticed only by whoever has kept the
digest of a later line elsewhere.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from smule_crypten.audit.events import Event, Keeper, Line, Recovered
from smule_crypten.errors import OutputError
from smule_crypten.files import exclusive, sync_folder

GENESIS = "0" * 64
"""What the first line names in place of a line before it."""
_BEGIN = b'{"schema_version":1,"number":'
_MODE = 0o600


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log that was read and verified.

    Attributes:
        lines: all that are whole.
        digests: of every line, torn ones with them, in order.
        torn_from: number of the first of the lines at the end that are not whole; None where the end is whole.
        torn_size: bytes from there on.
    """

    lines: tuple[Line, ...] = ()
    digests: tuple[str, ...] = ()
    torn_from: int | None = None
    torn_size: int = 0

    @property
    def digest(self) -> str:
        """Of the last line."""
        return self.digests[-1] if self.digests else GENESIS


def read_log(path: Path) -> Log:
    """Read and verify all of it.

    Raises:
        OutputError: it cannot be read, or a line is damaged, changed, missing, added or moved; names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OutputError(f"cannot read audit log {path}: {error.strerror}") from None
    return _verified(content, path)


def _verified(content: bytes, path: Path) -> Log:
    *whole, rest = content.split(b"\n")
    texts = [*whole, rest] if rest else whole
    lines: list[Line] = []
    digests: list[str] = []
    torn: list[int] = []
    for number, text in enumerate(texts, 1):
        line = _line(text) if number <= len(whole) else None
        if line is None and not _has_begun(text):
            raise OutputError(f"audit log {path}, line {number} is damaged; restore the log from a copy")
        if line is None:
            torn.append(number)
        else:
            _check_follows(line, number, digests, torn, path)
            lines.append(line)
            torn = []
        digests.append(hashlib.sha256(text).hexdigest())
    if not torn:
        return Log(lines=tuple(lines), digests=tuple(digests))
    if not rest:
        # A process that was cut off has written no line end, but for the one that ends an earlier torn line.
        raise OutputError(f"audit log {path}, line {torn[0]} is damaged; restore the log from a copy")
    size = len(b"\n".join(texts[torn[0] - 1 :]))
    return Log(lines=tuple(lines), digests=tuple(digests), torn_from=torn[0], torn_size=size)


def _line(text: bytes) -> Line | None:
    try:
        line = Line.model_validate_json(text)
    except ValidationError:
        return None
    return line if line.model_dump_json().encode() == text else None


def _has_begun(text: bytes) -> bool:
    """Whether it can be what a crash left of a line. A power cut may leave zeros behind it."""
    written = text.rstrip(b"\0")
    return written[: len(_BEGIN)] == _BEGIN[: len(written)]


def _check_follows(line: Line, number: int, digests: Sequence[str], torn: Sequence[int], path: Path) -> None:
    """Torn lines are closed by a line `recovered` that names the first of them, and by nothing else."""
    details = line.details
    if torn and not (isinstance(details, Recovered) and details.from_line == torn[0]):
        raise OutputError(f"audit log {path}, line {torn[0]} is damaged; restore the log from a copy")
    if line.number != number or line.previous != (digests[-1] if digests else GENESIS):
        raise OutputError(
            f"audit log {path}, line {number} does not follow the line before: one was changed, removed, added or "
            "moved; restore the log from a copy"
        )


class AuditLog:
    """Writes to a log; made by opened_log."""

    def __init__(self, path: Path, descriptor: int, party: Keeper) -> None:
        self._path, self._descriptor, self._party = path, descriptor, party
        self.run: str | None = None
        self._before = read_log(path)
        self._number, self._digest = len(self._before.digests), self._before.digest
        self._size = os.fstat(descriptor).st_size
        if self._before.torn_from is not None:
            recovered = Recovered(from_line=self._before.torn_from, size=self._before.torn_size)
            self._append(recovered, after=b"\n")

    @property
    def before(self) -> Sequence[Line]:
        """What stood there when it was opened."""
        return self._before.lines

    @property
    def recovered(self) -> bool:
        """Whether an earlier process was cut off while it wrote."""
        return self._before.torn_from is not None

    @property
    def digest(self) -> str:
        """Of the last line. Who keeps it elsewhere can tell later that no line was cut off."""
        return self._digest

    @property
    def num_lines(self) -> int:
        return self._number

    def append(self, details: Event) -> None:
        """Add a line; on return it is on disk.

        Raises:
            OutputError: it cannot be written, or somebody else has written to the log, or taken it away.
        """
        self._append(details)

    def _append(self, details: Event, after: bytes = b"") -> None:
        line = Line(
            number=self._number + 1,
            time=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            party=self._party,
            run=self.run,
            details=details,
            previous=self._digest,
        )
        text = line.model_dump_json().encode()
        self._write(after + text + b"\n", (line.number, hashlib.sha256(text).hexdigest()))

    def _write(self, content: bytes, last: tuple[int, str]) -> None:
        """Add content, after which the last line has this number and digest."""
        self._check_file()
        size, before = self._size, (self._number, self._digest)
        try:
            if os.write(self._descriptor, content) != len(content):
                raise OSError(0, "no space left for a whole line")
            # At once: Ctrl-C or SIGTERM may interrupt what follows, and then the end of the process is told, too.
            self._size, (self._number, self._digest) = size + len(content), last
            os.fsync(self._descriptor)
        except OSError as error:
            self._size, (self._number, self._digest) = size, before
            with suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise _unwritten(self._path, error.strerror) from None

    def _check_file(self) -> None:
        """Whether the file is still the one that was opened, and as it was left."""
        here = os.fstat(self._descriptor)
        try:
            there = os.stat(self._path)
        except OSError:
            there = None
        if there is None or not os.path.samestat(here, there):
            raise OutputError(
                f"audit log {self._path} was moved away, removed or replaced in this run; move it between runs only"
            )
        if here.st_size != self._size:
            raise OutputError(f"audit log {self._path} was changed by somebody else in this run; see by whom")


@contextmanager
def opened_log(path: Path, party: Keeper, *, if_taken: str = "set another audit.path") -> Iterator[AuditLog]:
    """The log, made where there is none, for this process alone.

    Args:
        if_taken: what to do where another process has it.

    Raises:
        OutputError: it is damaged, another process has it, or it cannot be written.
    """
    lock = path.with_name(f".{path.name}.lock")
    with exclusive(lock, f"audit log {path}", if_taken=if_taken):
        is_new = not path.exists()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            raise _unwritten(path, error.strerror) from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _unwritten(path, "it is no file, and keeps nothing")
            # First of all it is read: of a file that is no log not even the mode is changed.
            log = AuditLog(path, descriptor, party)
            _claim(path, descriptor, is_new=is_new)
            yield log
        finally:
            os.close(descriptor)


def _claim(path: Path, descriptor: int, *, is_new: bool) -> None:
    """For its owner alone, and there after a power cut."""
    try:
        os.fchmod(descriptor, _MODE)
        if is_new:
            sync_folder(path.parent)
    except OSError as error:
        raise _unwritten(path, error.strerror) from None


def _unwritten(path: Path, reason: object) -> OutputError:
    return OutputError(f"cannot write audit log {path}: {reason}; fix that, since nothing happens without a line in it")
