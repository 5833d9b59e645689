from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from smule_crypten.data.inputs import read_inputs
from smule_crypten.errors import DataError

SHAPE = (1, 4, 4)
BYTES = np.arange(48, dtype=np.uint8).reshape(3, 1, 4, 4)
UNIT = np.linspace(0, 1, 48).reshape(3, 1, 4, 4)


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("images", [BYTES, UNIT.astype(np.float32), UNIT])
@pytest.mark.parametrize("name", ["images", "anything"])
def test_arrays(tmp_path: Path, images: Any, name: str) -> None:
    """Bytes stay bytes, other numbers become float32; a single array may have any name."""
    found = read_inputs(saved(tmp_path / "in.npz", **{name: images}), SHAPE, trained_on=torch.uint8)
    assert found.inputs.dtype == (torch.uint8 if images.dtype == np.uint8 else torch.float32)
    np.testing.assert_allclose(found.inputs.numpy(), images, rtol=1e-6)
    assert found.names == ()


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"a": BYTES, "b": BYTES}, "call the one of the samples 'inputs' or 'images'"),
        ({}, "holds the arrays"),
        ({"images": BYTES[0]}, r"shape \(1, 4, 4\), the network takes \(N, 1, 4, 4\)"),
        ({"images": BYTES.transpose(0, 2, 3, 1)}, "resize or transpose"),
        ({"images": BYTES[:0]}, "holds no samples"),
        ({"images": BYTES.astype(np.int64)}, "has type int64"),
        ({"images": np.where(UNIT > 0.9, np.nan, UNIT)}, "sample 2 holds NaN"),
        ({"images": 255 * UNIT}, r"outside 0\.\.1"),
        ({"images": np.array([{}], dtype=object)}, "without pickles"),
    ],
)
def test_unusable_arrays(tmp_path: Path, arrays: dict[str, Any], text: str) -> None:
    """The message says what is wrong, and names the file."""
    path = saved(tmp_path / "in.npz", **arrays)
    with pytest.raises(DataError, match=text) as caught:
        read_inputs(path, SHAPE, trained_on=torch.uint8)
    assert str(path) in str(caught.value)


def test_floats_of_any_scale_where_training_had_such(tmp_path: Path) -> None:
    """Only what was trained on bytes has a scale that is known."""
    read_inputs(saved(tmp_path / "in.npz", images=255 * UNIT), SHAPE, trained_on=torch.float32)


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 and no more"])
def test_damaged_files(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty and damaged ones."""
    path = tmp_path / "in.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read .*in\.npz"):
        read_inputs(path, SHAPE, trained_on=torch.uint8)


def test_a_bare_array(tmp_path: Path) -> None:
    """What np.save writes is no archive."""
    np.save(tmp_path / "in.npy", BYTES)
    with pytest.raises(DataError, match="cannot read"):
        read_inputs(tmp_path / "in.npy", SHAPE, trained_on=torch.uint8)


def test_a_folder(tmp_path: Path) -> None:
    """Image files in order of their names, resized; other files do not count."""
    for name, value in (("b.png", 200), ("a.jpg", 100)):
        Image.new("RGB", (9, 7), (value, value, value)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("none")
    found = read_inputs(tmp_path, (3, 4, 5), trained_on=torch.uint8)
    assert found.names == ("a.jpg", "b.png")
    assert found.inputs.shape == (2, 3, 4, 5)
    assert found.inputs[1].unique().tolist() == [200]


def test_unusable_folders(tmp_path: Path) -> None:
    """Empty, damaged, or of more channels than the network takes."""
    with pytest.raises(DataError, match="holds no image files"):
        read_inputs(tmp_path, (3, 4, 4), trained_on=torch.uint8)
    with pytest.raises(DataError, match="read as RGB or grey, the network takes 2 channels"):
        read_inputs(tmp_path, (2, 4, 4), trained_on=torch.uint8)
    (tmp_path / "a.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"cannot decode .*a\.png"):
        read_inputs(tmp_path, (3, 4, 4), trained_on=torch.uint8)


def test_a_single_image(tmp_path: Path) -> None:
    """No archive, but something to say more of than that."""
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is one image; put it into a folder"):
        read_inputs(tmp_path / "a.png", SHAPE, trained_on=torch.uint8)


@pytest.mark.parametrize("shape", [(5,), (2, 7)])
def test_vectors_and_series(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Inputs of every rank, in an array called so."""
    values = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    path = saved(tmp_path / "in.npz", inputs=values, other=values[:1])
    np.testing.assert_array_equal(read_inputs(path, shape, trained_on=torch.float32).inputs.numpy(), values)


def test_series_of_one_channel(tmp_path: Path) -> None:
    """(N, time), as data=series reads it."""
    values = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    path = saved(tmp_path / "in.npz", inputs=values)
    np.testing.assert_array_equal(read_inputs(path, (1, 7), trained_on=torch.float32).inputs.numpy(), values[:, None])


@pytest.mark.parametrize(
    ("shape", "expected", "text"),
    [
        ((3, 6), (5,), r"shape \(3, 6\), the network takes \(N, 5\); give the features of the training"),
        ((3, 2, 6), (2, 7), r"shape \(3, 2, 6\), the network takes \(N, 2, 7\); cut or resample"),
        ((3, 7), (2, 7), r"shape \(3, 7\), the network takes \(N, 2, 7\)"),
        ((3, 1, 7), (7,), r"shape \(3, 1, 7\), the network takes \(N, 7\)"),
    ],
)
def test_vectors_and_series_of_another_shape(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...], text: str
) -> None:
    path = saved(tmp_path / "in.npz", inputs=np.zeros(shape, np.float32))
    with pytest.raises(DataError, match=text):
        read_inputs(path, expected, trained_on=torch.float32)


def test_which_array_is_meant(tmp_path: Path) -> None:
    """Two of the known names leave it open."""
    path = saved(tmp_path / "in.npz", inputs=BYTES, images=BYTES)
    with pytest.raises(DataError, match="call the one of the samples 'inputs' or 'images'"):
        read_inputs(path, SHAPE, trained_on=torch.uint8)


def test_a_folder_for_a_network_of_vectors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is a folder, the network takes \(N, 5\), no images; give an \.npz file"):
        read_inputs(tmp_path, (5,), trained_on=torch.float32)
