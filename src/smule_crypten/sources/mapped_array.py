"""An array on disk as a source: its file is mapped, and the system reads the pages that are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from smule_crypten.config.options import one_line
from smule_crypten.errors import DataError
from smule_crypten.sources.source import Positions

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class MappedArray:
    """A Source over an array whose first axis is that of the inputs.

    Attributes:
        array: mapped, not read.
        convert: from some of its rows, in memory, to inputs (B, X), uint8 or float32.
        described_by: SHA-256 of what the values follow from.
    """

    array: Array
    convert: Callable[[Array], torch.Tensor]
    described_by: str

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
        return self.convert(np.asarray(self.array[positions_B]))


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
    """SHA-256 of the name, size and time of change of a file: they stand for what it holds."""
    found = path.stat()
    return hashlib.sha256(f"{path.name} {found.st_size} {found.st_mtime_ns}".encode()).hexdigest()
