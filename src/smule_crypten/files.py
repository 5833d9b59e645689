"""Writing files so that a crash, a full disk, Ctrl-C or a second process never damages what was there."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from smule_crypten.errors import OutputError

PRIVATE_FOLDER_MODE = 0o700
LOCK_FILE = ".lock"
"""In a folder that one process at a time writes into. It stays there; what counts is who holds it."""


def write_atomic(path: Path, write: Callable[[IO[bytes]], object], *, public: bool = False) -> None:
    """Let `write` fill a temporary file beside path, then rename it to path.

    Args:
        public: give it the mode of any new file; otherwise its owner alone may read it.

    Raises:
        OutputError: the folder cannot be written or is full; what stood at path is untouched.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if public:
            temporary.chmod(_default_mode())
        temporary.replace(path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, public: bool = False) -> None:
    """As write_atomic, with a text in UTF-8."""
    write_atomic(path, lambda file: file.write(text.encode()), public=public)


def sync_folder(folder: Path) -> None:
    """Without it a power cut may lose a new file, though its content was on disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(lock: Path, what: str, *, if_taken: str) -> Iterator[None]:
    """Keep `what` for this process. The lock goes with the process that holds it, however that ends.

    Args:
        lock: a file that is made for nothing else; its folder exists.
        if_taken: what to do where another process holds it.

    Raises:
        OutputError: another process holds it, or it cannot be locked.
    """
    try:
        file = lock.open("ab")
    except OSError as error:
        raise OutputError(f"cannot lock {what}: {error.strerror}; its folder must exist and allow new files") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"{what} is in use by another run; wait until that has ended, or {if_taken}") from None
        except OSError as error:
            raise OutputError(f"cannot lock {what}: {error.strerror}; keep it on a local disk") from None
        yield


def _default_mode() -> int:
    """What open() would have given the file; temporary files are readable by their owner only."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def output_error(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {error.strerror or error}; free space or set hydra.run.dir to another folder"
    )
