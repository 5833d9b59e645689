"""Reading a folder of IDX files, the format of MNIST and of Debian's package dataset-fashion-mnist.

A file is: two zero bytes, the element type (8 for unsigned byte), the number of axes, the length of each axis as a
big-endian 32-bit number, then the elements, the last axis running fastest.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from smule_crypten.data.samples import Samples
from smule_crypten.errors import DataError

_PREFIX = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTE = 8


def read_idx_folder(folder: Path, split: str) -> Samples:
    """One split ("train" or "test") of the folder, plain files or .gz, images as (N, 1, H, W) uint8.

    Raises:
        DataError: a file is missing, unreadable, damaged or not of the expected kind.
    """
    prefix = _PREFIX[split]
    images_NHW = _read_idx(_find(folder, f"{prefix}-images-idx3-ubyte"), axes=3)
    labels_N = _read_idx(_find(folder, f"{prefix}-labels-idx1-ubyte"), axes=1)
    return Samples(
        inputs=torch.from_numpy(images_NHW).unsqueeze(1),
        targets=torch.from_numpy(labels_N).long(),
        sample_ids=torch.arange(len(labels_N)),
    )


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(
        f"data set 'idx': neither {name} nor {name}.gz in {folder}; set data.path to the folder of the four IDX files"
    )


def _read_idx(path: Path, axes: int) -> npt.NDArray[np.uint8]:
    content = _content(path)
    header_bytes = 4 + 4 * axes
    if content[:4] != bytes([0, 0, _UNSIGNED_BYTE, axes]) or len(content) < header_bytes:
        raise DataError(f"data set 'idx': {path} is no IDX file of unsigned bytes with {axes} axes; replace the file")
    shape = [int(length) for length in np.frombuffer(content, dtype=">u4", count=axes, offset=4)]
    expected_bytes = header_bytes + math.prod(shape)
    if len(content) != expected_bytes:
        raise DataError(
            f"data set 'idx': {path} holds {len(content)} bytes, its header announces {expected_bytes}; "
            "copy or download it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header_bytes).reshape(shape).copy()


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"data set 'idx': cannot read {path} ({error}); copy or download it again") from error
