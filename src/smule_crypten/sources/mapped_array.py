"""An array on disk as a source: its file is mapped, and the system reads the pages that are needed.

Another process of the party (compute/) maps the file itself: what is pickled is the path, never the array.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from smule_crypten.config.options import one_line
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.sources.source import Positions

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class MappedArray:
    """A Source over an array whose first axis is that of the inputs.

    Attributes:
        array: mapped, not read.
        convert: from some of its rows, in memory, to inputs (B, X), uint8 or float32.
        described_by: SHA-256 of what the values follow from; of a file, its stamp_of when it was mapped.
        path: of the file; None of one without a name, which no other process can map.
    """

    array: Array
    convert: Callable[[Array], torch.Tensor]
    described_by: str
    path: Path | None = None

    @cached_property
    def _nothing(self) -> torch.Tensor:
        return self.convert(np.array(self.array[:1]))[:0]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.array), *self._nothing.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return self._nothing.dtype

    @property
    def workers(self) -> int:
        """The system reads ahead by itself."""
        return 0

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.described_by} {self.shape} {self.dtype}".encode()).hexdigest()

    def read(self, positions_B: Positions) -> torch.Tensor:
        self._require_unchanged()
        return self.convert(np.asarray(self.array[positions_B]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Raises ConfigError where the file has no name."""
        if self.path is None:
            raise ConfigError(
                "compute.devices: the inputs of the table lie in a temporary file, which no other process can read; "
                "set data.in_memory=true or compute.devices=1"
            )
        return _mapped_again, (self.convert, self.described_by, self.path)

    def _require_unchanged(self) -> None:
        """A mapped file that is written to changes at once, and one that is cut ends the process."""
        if self.path is not None and stamp_of(self.path) != self.described_by:
            raise DataError(f"{self.path} was changed since it was mapped; leave it alone while a run reads it")


def _mapped_again(convert: Callable[[Array], torch.Tensor], described_by: str, path: Path) -> MappedArray:
    mapped = MappedArray(map_array(path), convert, described_by, path)
    mapped._require_unchanged()
    return mapped


def map_array(path: Path) -> Array:
    """The array of an .npy file, mapped.

    Raises:
        DataError: it cannot be read, or holds something else than numbers.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"cannot read {path} (no such file); write it by numpy.save") from error
    except Exception as error:  # a damaged file may break the reader of .npy in any way
        raise DataError(f"cannot read {path} ({one_line(error)}); write it by numpy.save, without pickles") from error
    if not isinstance(array, np.ndarray) or array.ndim == 0:
        raise DataError(f"cannot read {path} (no .npy file of an array); write it by numpy.save")
    return array


def stamp_of(path: Path) -> str:
    """SHA-256 of the path, size and time of change of a file: they stand for what it holds.

    All of the path: other data may well have files of the same names, sizes and times.

    Raises:
        DataError: it is gone.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}); leave it alone while a run reads it") from error
    return hashlib.sha256(f"{os.path.realpath(path)} {found.st_size} {found.st_mtime_ns}".encode()).hexdigest()
