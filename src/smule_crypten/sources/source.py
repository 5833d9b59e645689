"""What inputs are read from. N inputs; X, the axes of one, as in types.py; B, those of a batch."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

Positions = npt.NDArray[np.int64]


class Source(Protocol):
    """Where inputs lie: files, or an array on disk. With workers it is pickled.

    Attributes:
        shape: (N, X).
        dtype: uint8 or float32.
        fingerprint: SHA-256 of what the inputs follow from without reading them, as names, sizes and times of files.
        workers: processes that read ahead; 0 where reading is no work.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def workers(self) -> int: ...

    def read(self, positions_B: Positions) -> torch.Tensor:
        """(B, X), of the type of the source.

        Raises:
            DataError: something at these positions cannot be read, or is not like the others.
        """
        ...
