"""Archives that are damaged, hostile or none, in both readers: training and prediction."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.inputs import read_inputs
from smule_crypten.data.loaders_npz import load_npz
from smule_crypten.errors import DataError

IMAGES = np.arange(4 * 2 * 2, dtype=np.uint8).reshape(4, 1, 2, 2)
ARRAYS = {"x_train": IMAGES, "y_train": np.arange(4) % 2, "x_test": IMAGES, "y_test": np.arange(4) % 2}


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def claiming(shape: str, descr: str = "'|u1'", content: bytes = b"") -> bytes:
    """A .npy file whose header says so, whatever follows."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def read_for_training(folder: Path, change: Callable[[bytes], bytes] | None = None, **members: bytes) -> None:
    """Members replace, and add to, those of a good archive; names are those inside, with __ for the dot."""
    contents = {f"{name}.npy": npy(array) for name, array in ARRAYS.items()}
    _save(folder / "in.npz", contents, members, change)
    load_npz(DataConfig(name="npz", path=str(folder / "in.npz")))


def read_for_prediction(folder: Path, change: Callable[[bytes], bytes] | None = None, **members: bytes) -> None:
    named = {name.replace("x_train", "images"): content for name, content in members.items() if "y_" not in name}
    _save(folder / "in.npz", {"images.npy": npy(IMAGES)}, named, change)
    read_inputs(folder / "in.npz", (1, 2, 2), trained_on=torch.uint8)


def _save(
    path: Path, contents: dict[str, bytes], members: dict[str, bytes], change: Callable[[bytes], bytes] | None
) -> None:
    contents = contents | {name.replace("__", "."): content for name, content in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            if content:
                archive.writestr(name, content)
    if change is not None:
        path.write_bytes(change(path.read_bytes()))


READERS = pytest.mark.parametrize("read", [read_for_training, read_for_prediction])


def with_flag(content: bytes) -> bytes:
    """Every member marked as encrypted, in both headers."""
    changed = bytearray(content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := content.find(mark, start + 1)) >= 0:
            changed[start + offset] |= 1
    return bytes(changed)


def with_method(number: int) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            start = -1
            while (start := content.find(mark, start + 1)) >= 0:
                changed[start + offset : start + offset + 2] = struct.pack("<H", number)
        return bytes(changed)

    return change


def with_size(claimed: int) -> Callable[[bytes], bytes]:
    """The directory claims this uncompressed size of each member."""

    def change(content: bytes) -> bytes:
        changed, start = bytearray(content), -1
        while (start := content.find(b"PK\x01\x02", start + 1)) >= 0:
            changed[start + 24 : start + 28] = struct.pack("<I", claimed)
        return bytes(changed)

    return change


@READERS
def test_good_ones(read: Any, tmp_path: Path) -> None:
    """Read, in Fortran order and other byte order too."""
    read(tmp_path)
    read(tmp_path, x_train__npy=npy(np.asfortranarray(IMAGES)))
    read(tmp_path, x_train__npy=npy(IMAGES.astype(">f8") / 255), x_test__npy=npy(IMAGES / 255))


@READERS
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (with_flag, "encrypted"),
        (with_method(12), "compressed by bzip2"),
        (with_method(14), "compressed by lzma"),
        (with_method(93), "compressed by zstandard|compressed by unknown"),
        (with_method(0), "more than the file can hold"),
        (with_size(2**32 - 2), "more than the file can hold"),
        (with_size(150), "claims"),
        (lambda content: content[:100], "cannot read"),
        (lambda content: b"", "cannot read"),
        (lambda content: b"\x80\x04\x95\x0f." * 20, "cannot read"),
    ],
)
def test_archives_that_cannot_be_used(read: Any, tmp_path: Path, change: Any, text: str) -> None:
    """Encrypted, of another compression, with wrong sizes, cut off, or none."""
    with pytest.raises(DataError, match=text) as caught:
        read(tmp_path, change)
    assert str(tmp_path / "in.npz") in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@READERS
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (claiming("(4000000000, 1, 2, 2)"), "claims 16000000000 bytes and holds 0"),
        (claiming("(4, 1, 2, 2)", content=bytes(15)), "claims 16 bytes and holds 15"),
        (claiming("(4, 1, 2, 2)", content=bytes(17)), "claims 16 bytes and holds 17"),
        (claiming("(-4, -1, 2, 2)", content=bytes(16)), "claims"),
        (claiming("(4, 1, 2, 2)", "'|O'", bytes(128)), "Python objects"),
        (claiming("(4, 1, 2, 2)", "[('a', '|O')]", bytes(128)), "Python objects"),
        (claiming("(4, 1, 2, 2)", "'|V0'"), "type"),
        (claiming("(4, 1, 2, 2)", "'<U1'", bytes(64)), "type"),
        (claiming("(4, 1, 2, 2)", "'<c8'", bytes(128)), "type"),
        (claiming("(4, 1, 2, 2)", "'<M8[s]'", bytes(128)), "type"),
        (claiming("__import__('os')"), "cannot read"),
        (b"\x93NUMPY\x09\x09" + bytes(20), "version"),
        (npy(np.array([{}], dtype=object)), "Python objects"),
        (b"no array", "cannot read"),
    ],
)
def test_arrays_that_cannot_be_used(read: Any, tmp_path: Path, content: bytes, text: str) -> None:
    """Headers that claim too much or what is no number; nothing is unpickled."""
    with pytest.raises(DataError, match=text) as caught:
        read(tmp_path, x_train__npy=content)
    assert len(str(caught.value).splitlines()) == 1


@READERS
def test_a_huge_claim_takes_no_memory(read: Any, tmp_path: Path) -> None:
    """It is compared with the file first: the claim is 16 GB."""
    tracemalloc.start()
    with pytest.raises(DataError):
        read(tmp_path, x_train__npy=claiming("(4000000000, 1, 2, 2)"))
    with pytest.raises(DataError):
        read(tmp_path, with_size(2**32 - 2))
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@READERS
def test_a_member_that_inflates_beyond_its_size(read: Any, tmp_path: Path) -> None:
    """What the directory says is read, not more, however long the stream goes on."""
    whole = claiming("(4, 1, 2, 2)", content=bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(DataError, match="cannot read"):
        read(tmp_path, with_size(len(claiming("(4, 1, 2, 2)", content=bytes(16)))), x_train__npy=whole)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000  # writing the file took most of it


@READERS
def test_members_that_are_no_arrays(read: Any, tmp_path: Path) -> None:
    """A bare member is no array; an archive of other files, as a checkpoint is one, is named as such."""
    with pytest.raises(DataError, match=r"misses an array: x_train|other files: images"):
        read(tmp_path, x_train__npy=b"", x_train=b"bare")
    checkpoint = tmp_path / "in.npz"
    torch.save({"weight": torch.zeros(3)}, checkpoint)
    for reader in (
        lambda: load_npz(DataConfig(name="npz", path=str(checkpoint))),
        lambda: read_inputs(checkpoint, (1, 2, 2), trained_on=torch.uint8),
    ):
        with pytest.raises(DataError, match=r"a zip archive of other files: .*data\.pkl"):
            reader()


@pytest.mark.parametrize("labels", [np.int64(1), np.zeros((4, 2, 1), int), np.array("a"), np.arange(4) > 1])
def test_labels_that_are_none(tmp_path: Path, labels: Any) -> None:
    """A single number, too many axes, text and truth values."""
    with pytest.raises(DataError, match=r"y_train:? has (shape|type)"):
        read_for_training(tmp_path, y_train__npy=npy(labels))


def test_two_members_of_one_name(tmp_path: Path) -> None:
    """Which of them is meant, nobody knows."""
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        archive.writestr("images.npy", npy(IMAGES))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("images.npy", npy(IMAGES))
    with pytest.raises(DataError, match="more than once"):
        read_inputs(tmp_path / "in.npz", (1, 2, 2), trained_on=torch.uint8)


def test_no_regular_file(tmp_path: Path) -> None:
    """A pipe is none, and would be waited for; a folder is one of .npy files."""
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(DataError, match="no regular file"):
        load_npz(DataConfig(name="npz", path=str(tmp_path / "pipe.npz")))
    with pytest.raises(DataError, match=r"x_train\.npy \(no such file\); write it by numpy\.save"):
        load_npz(DataConfig(name="npz", path=str(tmp_path)))
