"""Rows of numbers as they come, chunk by chunk: in memory up to a limit, beyond it in a temporary file.

The file has no name: nobody else sees it, and it is gone with its last user, however that ends. It lies where TMPDIR
says, which must not be a file system in memory.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from smule_crypten.errors import DataError


@dataclass(frozen=True, eq=False)
class Rows:
    """values: (N, width) float32. content: SHA-256 of them where they lie in a file, which is mapped, else None."""

    values: NDArray[np.float32]
    content: str | None = None


class RowStore:
    """Takes rows of `width` numbers; most_bytes of them stay in memory."""

    def __init__(self, width: int, most_bytes: int) -> None:
        self._width, self._most_bytes = width, most_bytes
        self._num_rows = 0
        self._chunks: list[NDArray[np.float32]] = []
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()

    def add(self, rows_NF: NDArray[np.float32]) -> None:
        """Raises DataError where the temporary file has no room."""
        self._num_rows += len(rows_NF)
        self._chunks.append(rows_NF)
        if self._file is not None or 4 * self._width * self._num_rows > self._most_bytes:
            self._write()

    def finished(self) -> Rows:
        """All rows, at least one."""
        if self._file is None:
            return Rows(np.concatenate(self._chunks))
        with self._file:
            values: NDArray[Any] = np.memmap(self._file, np.float32, mode="r", shape=(self._num_rows, self._width))
        return Rows(values, self._digest.hexdigest())

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed once it is mapped
            for rows_NF in self._chunks:
                content = np.ascontiguousarray(rows_NF).tobytes()
                self._digest.update(content)
                self._file.write(content)
            self._file.flush()  # what has no room must be found here
        except OSError as error:
            if self._file is not None:
                with suppress(OSError):  # of what is still in the buffer
                    self._file.close()
            raise DataError(
                f"the inputs of the table find no room in {tempfile.gettempdir()} ({error.strerror}); set TMPDIR to a "
                "folder of a larger disk"
            ) from error
        self._chunks = []
