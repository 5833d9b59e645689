"""The ledger of what was disclosed, a file of JSON lines: attempts at exchanges, further answers, what a head opened.

A line is on disk, its folder included, before anything of it is computed; it is never changed or taken back. Each holds
the digest of the line before and one of itself, so a line that was changed, removed or moved is noticed. Lines cut off
at the end are not; for that an output folder remembers how far it saw its ledger (Head). One process at a time writes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from smule_crypten.config.sections import Section
from smule_crypten.errors import OutputError
from smule_crypten.files import exclusive, sync_folder, write_atomic
from smule_crypten.types import Disclosure

GENESIS = "0" * 64
"""What the first line names in place of a line before it."""
_OF_EARLIER_VERSIONS = {"run", "peer", "query_id", "to_party", "num_samples", "model_step"}


EntryKind = Literal[
    "first", "second", "public", "joint_head", "joint_head_check", "joint_head_weights", "joint_head_losses"
]
ANSWERS: tuple[EntryKind, ...] = ("first", "second", "public")
"""What a network answers."""


class Entry(Section):
    """One line. run and query_id name an exchange, attempt which try at it (from 1), peer the asking one's fingerprint.

    kind: the answers of the exchange, the second ones of its spot check, or those about public samples; of a joint
    head, with query_id 1, its answers, the numbers of the check of its solve, or its weights that were revealed, of
    which there are num_samples; likewise the losses of three teachers that an exchange begins with. peer is None in a
    simulation, whose certificates are thrown away. previous is the digest of the line before; digest is SHA-256, in
    hexadecimal, of this line without it. about: of public answers a digest of all that they follow from, of a joint
    head the identity of its solve.
    """

    run: str
    peer: str | None
    query_id: int = Field(ge=1)
    attempt: int = Field(ge=1)
    kind: EntryKind
    to_party: str
    num_samples: int = Field(ge=0)
    model_step: int = Field(ge=0)
    time: str
    about: str | None = None
    previous: str
    digest: str = ""

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Lines of other kinds are as they were before there were public answers."""
        values: dict[str, Any] = dump(self)
        if values.get("about") is None:
            values.pop("about", None)
        return values

    def sealed(self) -> Entry:
        """The same with its digest."""
        return self.model_copy(update={"digest": self._digest()})

    def is_sealed(self) -> bool:
        return self.digest == self._digest()

    def _digest(self) -> str:
        return hashlib.sha256(self.model_dump_json(exclude={"digest"}).encode()).hexdigest()


class Head(Section):
    """How far somebody saw a ledger: the digest of its line number `lines`."""

    ledger: str
    lines: int = Field(ge=1)
    digest: str


def next_entry(
    entries: Sequence[Entry],
    disclosure: Disclosure,
    *,
    run: str,
    peer: str | None,
    attempt: int,
    kind: EntryKind,
    about: str | None = None,
) -> Entry:
    """What follows entries, sealed, of this moment; run to about as in Entry."""
    return Entry(
        run=run,
        peer=peer,
        query_id=disclosure.query_id,
        attempt=attempt,
        kind=kind,
        to_party=disclosure.to_party,
        num_samples=disclosure.num_samples,
        model_step=disclosure.model_step,
        time=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        about=about,
        previous=last_digest(entries),
    ).sealed()


def last_digest(entries: Sequence[Entry]) -> str:
    return entries[-1].digest if entries else GENESIS


def read_ledger(path: Path) -> list[Entry]:
    """All entries; none where there is no ledger yet.

    Raises:
        OutputError: it cannot be read, is empty, or a line is not what was written; names the line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"cannot read ledger {path}: {error.strerror}; it limits what is disclosed") from None
    *lines, rest = content.split(b"\n")
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        entries.append(_checked_line(path, number, line, last_digest(entries)))
    if rest:
        raise OutputError(
            f"ledger {path}, line {len(lines) + 1} is cut off; restore the ledger. If a power cut did it, nothing was "
            "answered for that line yet: remove the line alone"
        )
    if not entries:
        raise _damaged(path, 1, "is missing")
    return entries


def _checked_line(path: Path, number: int, line: bytes, previous: str) -> Entry:
    try:
        entry = Entry.model_validate_json(line)
    except ValidationError:
        if _is_of_an_earlier_version(line):
            raise OutputError(
                f"ledger {path} is of an earlier version, whose lines bear no digests; move it away, and take what it "
                "counts off disclosure.max_answers_total"
            ) from None
        raise _damaged(path, number, "is damaged") from None
    if not entry.is_sealed() or entry.model_dump_json().encode() != line:
        raise _damaged(path, number, "was changed")
    if entry.previous != previous:
        raise _damaged(path, number, "does not follow the line before: one was removed, added or moved")
    return entry


def _is_of_an_earlier_version(line: bytes) -> bool:
    try:
        values = json.loads(line)
    except ValueError:
        return False
    return isinstance(values, dict) and values.keys() == _OF_EARLIER_VERSIONS


def _damaged(path: Path, number: int, what: str) -> OutputError:
    return OutputError(f"ledger {path}, line {number} {what}; restore the ledger, since it limits what is disclosed")


def append_entry(path: Path, entry: Entry) -> None:
    """Add a sealed entry at the end; on return it is on disk.

    Raises:
        OutputError: it cannot be written; the ledger is as it was.
    """
    line = entry.model_dump_json().encode() + b"\n"
    try:
        if path.exists():
            _append(path, line)
        else:
            # Whole or not at all: an empty ledger would have to be refused.
            write_atomic(path, lambda file: file.write(line))
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritten(path, error.strerror) from None
    except OutputError as error:
        raise _unwritten(path, getattr(error.__cause__, "strerror", None) or error) from None


def _unwritten(path: Path, reason: object) -> OutputError:
    return OutputError(f"cannot write ledger {path}: {reason}; fix that, since nothing is answered without an entry")


def _append(path: Path, line: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            if file.write(line) != len(line):
                raise OSError(0, "no space left for a whole line")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def read_head(path: Path) -> Head | None:
    """None where there is none.

    Raises:
        OutputError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        return Head.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise OutputError(f"{path} is damaged; restore it, since it tells whether the ledger is complete") from None


def write_head(path: Path, ledger: Path, entries: Sequence[Entry]) -> None:
    """Remember how far the ledger goes; there is at least one entry.

    Raises:
        OutputError: it cannot be written.
    """
    head = Head(ledger=str(ledger), lines=len(entries), digest=last_digest(entries))
    write_atomic(path, lambda file: file.write(head.model_dump_json().encode()))


def check_head(head: Head, path: Path, ledger: Path, entries: Sequence[Entry]) -> None:
    """Raises OutputError where the ledger lacks lines that there were when head (in the file path) was written.

    The folder may have moved; what counts is that the line which head knows stands where it stood.
    """
    if len(entries) >= head.lines and entries[head.lines - 1].digest == head.digest:
        return
    if head.ledger == str(ledger):
        raise OutputError(
            f"ledger {ledger} has {len(entries)} lines and lacks some that it had: {path} knows of {head.lines}; "
            "restore the ledger, since it limits what is disclosed"
        )
    raise OutputError(
        f"ledger {ledger} is not the one that {path} knows, {head.ledger} of {head.lines} lines; "
        f"set disclosure.ledger as before, or remove {path.name} if another ledger is meant to count from zero"
    )


@contextmanager
def locked_ledger(path: Path) -> Iterator[None]:
    """Keep the ledger for this process. The lock lies in a file beside it, and goes with the process that holds it.

    Raises:
        OutputError: another process has it, or it cannot be locked.
    """
    with exclusive(path.with_name(f".{path.name}.lock"), f"ledger {path}", if_taken="keep a ledger a peer"):
        yield
