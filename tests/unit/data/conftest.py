from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from smule_crypten.data.samples import Samples


def idx_bytes(array: np.ndarray) -> bytes:
    lengths = np.array(array.shape, dtype=">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


@pytest.fixture
def write_idx() -> Callable[..., None]:
    """Write the four IDX files of a data set with 12 train and 6 test images of 4x5, 3 classes."""

    def write(folder: Path, compressed: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for prefix, count in (("train", 12), ("t10k", 6)):
            images = np.arange(count * 20).reshape(count, 4, 5) % 256
            for name, array in (("images-idx3", images), ("labels-idx1", np.arange(count) % 3)):
                content = idx_bytes(array)
                path = folder / f"{prefix}-{name}-ubyte{'.gz' if compressed else ''}"
                path.write_bytes(gzip.compress(content) if compressed else content)

    return write


@pytest.fixture
def samples() -> Samples:
    """Six float images 2x3x3 of three classes; ids start at 100."""
    inputs_NX = torch.rand(6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    return Samples(inputs_NX, torch.tensor([0, 1, 2, 0, 1, 0]), torch.arange(100, 106))
