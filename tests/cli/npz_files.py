"""A small problem as a file for data=npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

NUM_CLASSES = 4


def draw(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Noisy 1x8x8 images; in class c the rows 2c and 2c + 1 are brighter."""
    generator = np.random.default_rng(seed)
    labels_N = np.arange(count) % NUM_CLASSES
    inputs_NX = generator.integers(0, 150, (count, 1, 8, 8))
    for row in (0, 1):
        inputs_NX[np.arange(count), 0, 2 * labels_N + row] += 60
    return inputs_NX.astype(np.uint8), labels_N


def save_npz(path: Path, **changed: npt.NDArray[np.generic]) -> Path:
    """160 training and 80 test images as data=npz reads them; changed replaces arrays."""
    (x_train, y_train), (x_test, y_test) = draw(160, seed=0), draw(80, seed=1)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "x_train": x_train,
        "y_train": y_train,
        "x_test": x_test,
        "y_test": y_test,
        **changed,
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path
