"""Whether the process that keeps a status is still there: it holds a lock, which goes with it however it ends.

A number of a process would not do: another container numbers them otherwise, and a number is given away again.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smule_crypten.errors import StatusError
from smule_crypten.files import output_error

LOCK_FILE = ".status.lock"


@contextmanager
def alive(folder: Path) -> Iterator[None]:
    """Be known as alive. One process at a time does that in a folder; that is for the caller to see to.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        file = (folder / LOCK_FILE).open("ab")
    except OSError as error:
        raise output_error(folder / LOCK_FILE, error) from error
    with file:
        # This waits for those who look just now, for as long as a look takes.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_alive(folder: Path) -> bool:
    """Whether a process keeps the status in folder.

    Raises:
        StatusError: that cannot be seen.
    """
    try:
        with (folder / LOCK_FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise StatusError(
            f"cannot see who runs in {folder}: {error.strerror}; look as the account of the run"
        ) from None
    return False
