"""Writing files so that a crash, a full disk or Ctrl-C never damages what was there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from smule_crypten.errors import OutputError

PRIVATE_FOLDER_MODE = 0o700


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


def _default_mode() -> int:
    """What open() would have given the file; temporary files are readable by their owner only."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def output_error(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {error.strerror or error}; free space or set hydra.run.dir to another folder"
    )
