from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from smule_crypten.data.files_idx import read_idx_folder
from smule_crypten.errors import DataError

TRAIN_IMAGES = "train-images-idx3-ubyte"


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_plain_and_gzip(tmp_path: Path, write_idx: Callable[..., None], compressed: bool) -> None:
    """Pixels, labels and ids come out in file order, with a channel axis."""
    write_idx(tmp_path, compressed=compressed)
    train = read_idx_folder(tmp_path, "train")
    assert train.inputs.shape == (12, 1, 4, 5)
    assert train.inputs.dtype == torch.uint8
    assert train.inputs[2].flatten().tolist() == list(range(40, 60))
    assert train.targets.tolist() == [0, 1, 2] * 4
    assert train.sample_ids.tolist() == list(range(12))
    assert len(read_idx_folder(tmp_path, "test")) == 6


def test_missing_file_is_named(tmp_path: Path) -> None:
    """The user learns which file was looked for, and where."""
    with pytest.raises(DataError, match=rf"{TRAIN_IMAGES}\.gz in .*set data\.path"):
        read_idx_folder(tmp_path, "train")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"\0\0\x0d" + content[3:], "no IDX file of unsigned bytes with 3 axes"),
        (lambda content: content[:3] + b"\1" + content[4:], "no IDX file of unsigned bytes with 3 axes"),
        (lambda content: content[:10], "no IDX file of unsigned bytes with 3 axes"),
        (lambda content: b"", "no IDX file of unsigned bytes with 3 axes"),
        (lambda content: content[:-1], "holds 255 bytes, its header announces 256"),
        (lambda content: content + b"\0", "holds 257 bytes, its header announces 256"),
        (lambda content: content[:4] + b"\xff" * 12 + content[16:], "its header announces"),
    ],
)
def test_damaged_file_is_refused(
    tmp_path: Path, write_idx: Callable[..., None], damage: Callable[[bytes], bytes], message: str
) -> None:
    """A wrong magic number or length must never be read as images."""
    write_idx(tmp_path)
    path = tmp_path / TRAIN_IMAGES
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        read_idx_folder(tmp_path, "train")


@pytest.mark.parametrize(
    "content",
    [b"not gzip", gzip.compress(b"x" * 100)[:-12], gzip.compress(b"x" * 100)[:-4] + b"\0" * 4],
    ids=["foreign", "truncated", "wrong length"],
)
def test_damaged_gzip_is_refused(tmp_path: Path, write_idx: Callable[..., None], content: bytes) -> None:
    """A truncated or foreign .gz file gives a DataError, whatever gzip raises."""
    write_idx(tmp_path, compressed=True)
    (tmp_path / f"{TRAIN_IMAGES}.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*train-images"):
        read_idx_folder(tmp_path, "train")
