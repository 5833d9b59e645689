"""The ledger of what was disclosed: a file of one JSON line an answered query.

It is replaced as a whole, so a crash leaves the old or the new one. One process at a time may write to it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from smule_crypten.config import Section
from smule_crypten.errors import OutputError
from smule_crypten.files import write_atomic


class Entry(Section):
    """One answered query. run and query_id say which one it is, peer is the fingerprint of who got the answer.

    peer is None in a simulation, whose certificates are thrown away.
    """

    run: str
    peer: str | None
    query_id: int = Field(ge=1)
    to_party: str
    num_samples: int = Field(ge=0)
    model_step: int = Field(ge=0)


def read_ledger(path: Path) -> list[Entry]:
    """All entries; none where there is no ledger yet.

    Raises:
        OutputError: it cannot be read, or is damaged; an empty file is.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"cannot read ledger {path}: {error.strerror}; it limits what is disclosed") from None
    except ValueError:
        raise _damaged(path) from None
    if not lines:
        raise _damaged(path)
    try:
        return [Entry.model_validate_json(line) for line in lines]
    except ValidationError:
        raise _damaged(path) from None


def _damaged(path: Path) -> OutputError:
    return OutputError(f"ledger {path} is damaged; restore it, since it limits what is disclosed")


def write_ledger(path: Path, entries: Sequence[Entry]) -> None:
    """Put these entries in place of what was there.

    Raises:
        OutputError: it cannot be written; what was there is untouched.
    """
    text = "".join(f"{entry.model_dump_json()}\n" for entry in entries)
    try:
        write_atomic(path, lambda file: file.write(text.encode()))
    except OutputError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        raise OutputError(
            f"cannot write ledger {path}: {reason}; mend that, since nothing is answered without an entry"
        ) from None


@contextmanager
def locked_ledger(path: Path) -> Iterator[None]:
    """Keep the ledger for this process. The lock lies in a file beside it, and goes with the process that holds it.

    Raises:
        OutputError: another process has it, or it cannot be locked.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        file = lock.open("ab")
    except OSError as error:
        raise OutputError(
            f"cannot lock ledger {path}: {error.strerror}; its folder must exist and allow new files"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"ledger {path} is in use by another run; wait until that has ended, or keep a ledger a peer"
            ) from None
        except OSError as error:
            raise OutputError(f"cannot lock ledger {path}: {error.strerror}; keep it on a local disk") from None
        yield
