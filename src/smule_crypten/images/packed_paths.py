"""Paths of many files in little memory: a million of them are as many objects of Python, or one row of bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt


class PackedPaths(Sequence[Path]):
    """Paths below one folder, one after the other as bytes.

    Args:
        root: of all of them.
        paths: each begins with root.
    """

    def __init__(self, root: str, paths: Iterable[str]) -> None:
        self._root = root
        names = [os.fsencode(path[len(root) :]) + b"\0" for path in paths]
        self._names = b"".join(names)
        self._ends = np.cumsum(np.fromiter(map(len, names), np.int64, len(names)))

    @property
    def root(self) -> str:
        """Of all of them."""
        return self._root

    @property
    def packed_names(self) -> bytes:
        """All names below root, with a zero behind each."""
        return self._names

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, position: int) -> Path: ...

    @overload
    def __getitem__(self, position: slice) -> Sequence[Path]: ...

    def __getitem__(self, position: int | slice) -> Path | Sequence[Path]:
        if isinstance(position, slice):
            return [self[number] for number in range(*position.indices(len(self)))]
        return Path(self._root + self.name(range(len(self))[position]))

    def chosen(self, positions_N: npt.NDArray[np.int64]) -> PackedPaths:
        """Those at these positions, in their order."""
        if np.array_equal(positions_N, np.arange(len(self))):
            return self
        return PackedPaths(self._root, (self._root + self.name(number) for number in positions_N.tolist()))

    def name(self, position: int) -> str:
        """Below root, with what separates it."""
        return os.fsdecode(self._name(position))

    def _name(self, position: int) -> bytes:
        first = self._ends[position - 1] if position else 0
        return self._names[first : self._ends[position] - 1]
