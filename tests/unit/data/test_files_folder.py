from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from smule_crypten.data.files_folder import read_image_folder
from smule_crypten.errors import DataError
from smule_crypten.images.image_file import ImageSize


def write_image(path: Path, red: int, width: int = 6, height: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (red, 1, 2)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """train/ with five images of two classes, in PNG: the red value is 10 times the sample id."""
    for number in range(5):
        write_image(tmp_path / "train" / ("cat" if number < 3 else "dog") / f"{number}.png", red=10 * number)
    return tmp_path


def test_reads_pixels_labels_and_classes_in_order(folder: Path) -> None:
    """Sample ids number the files by class and name; pixels are RGB, channels first."""
    split = read_image_folder(folder, "train", None, None)
    images = split.images
    assert split.class_names == ("cat", "dog")
    assert images.inputs.shape == (5, 3, 4, 6)
    assert images.inputs.dtype == torch.uint8
    assert images.inputs[:, :, 0, 0].tolist() == [[10 * number, 1, 2] for number in range(5)]
    assert images.targets.tolist() == [0, 0, 0, 1, 1]
    assert images.sample_ids.tolist() == [0, 1, 2, 3, 4]


def test_only_chosen_files_are_decoded(folder: Path) -> None:
    """With a limit, ids stay those of the whole set and the other files are not touched."""
    chosen = read_image_folder(folder, "train", None, 2).images
    (left_out, *_) = sorted(set(range(5)) - set(chosen.sample_ids.tolist()))
    next((folder / "train").glob(f"*/{left_out}.png")).write_bytes(b"damaged")
    again = read_image_folder(folder, "train", None, 2).images
    assert again.sample_ids.tolist() == chosen.sample_ids.tolist()
    assert again.inputs[:, 0, 0, 0].tolist() == [10 * number for number in chosen.sample_ids.tolist()]


def test_size_resizes_every_image(folder: Path) -> None:
    """image_size is height, then width, and makes images of different sizes one tensor."""
    write_image(folder / "train/cat/9.png", red=0, width=9, height=9)
    images = read_image_folder(folder, "train", ImageSize(height=3, width=5), None).images
    assert images.inputs.shape == (6, 3, 3, 5)


def test_gray_images_become_rgb(folder: Path) -> None:
    """A grayscale file among color files has three equal channels."""
    Image.new("L", (6, 4), 77).save(folder / "train/cat/0.png")
    images = read_image_folder(folder, "train", None, None).images
    assert images.inputs[0, :, 0, 0].tolist() == [77, 77, 77]


def test_odd_size_is_named_with_the_remedy(folder: Path) -> None:
    """One image of another size is pointed out instead of stretched silently."""
    write_image(folder / "train/dog/9.png", red=0, width=7)
    with pytest.raises(DataError, match=r"9\.png is 4x7, .*0\.png is 4x6; set data\.options\.image_size=\[4,6\]"):
        read_image_folder(folder, "train", None, None)


@pytest.mark.parametrize("cut", [0, 30])
def test_damaged_image_is_named(folder: Path, cut: int) -> None:
    """An empty or truncated file gives its path."""
    path = folder / "train/dog/3.png"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"cannot decode .*3\.png"):
        read_image_folder(folder, "train", None, None)


@pytest.mark.parametrize(
    ("empty", "text"), [("test", "cannot list .*test .*train/<class>/"), ("test/cat", "no images")]
)
def test_missing_or_empty_folder_is_refused(folder: Path, empty: str, text: str) -> None:
    """No folder for a split says which layout is expected, a class without files how to allow that."""
    if empty != "test":
        (folder / empty).mkdir(parents=True)
    with pytest.raises(DataError, match=text):
        read_image_folder(folder, "test", None, None)
