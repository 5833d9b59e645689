"""Folders of images with a table of labels: each image gets those of its line; what does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.loaders_folder import load_image_folder
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import ConfigError, DataError

NAMES = ("train/b/2.png", "train/0.png", "train/b/1.png", "test/3.png", "test/4.png")
"""The grey of each image is its number."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 3), int(path.stem), np.uint8)).save(path)
    return tmp_path


def write(root: Path, header: str, *rows: str) -> None:
    """A line for each of NAMES."""
    (root / "labels.csv").write_text("\n".join([header, *(f"{n},{r}" for n, r in zip(NAMES, rows, strict=True))]))


def load(root: Path, **options: Any) -> DataBundle:
    settings = DataConfig(name="image_folder", path=str(root), options={"labels": "labels.csv", **options})
    return load_image_folder(settings)


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(DataError) as refused:
        load(root, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def targets_by_image(bundle: DataBundle) -> dict[int, Any]:
    """Grey -> target, so that it shows whether each image has the label of its own line."""
    found = {}
    for part in (bundle.train, bundle.test):
        found |= dict(zip(part.inputs[:, 0, 0, 0].tolist(), part.targets.tolist(), strict=True))
    return found


def test_several_findings(root: Path) -> None:
    """Columns of 0 and 1 are labels under the names of their columns."""
    write(root, "file,fracture,effusion", "1,0", "0,0", "1,1", "0,1", "1.0,0.0")
    bundle = load(root)
    assert targets_by_image(bundle) == {2: [1, 0], 0: [0, 0], 1: [1, 1], 3: [0, 1], 4: [1, 0]}
    assert bundle.class_names == ("fracture", "effusion")
    assert bundle.train.targets.dtype == torch.float32
    assert bundle.train.sample_ids.tolist() == [0, 1, 2]
    assert bundle.notes == ("train: 3 images with labels", "test: 2 images with labels")


def test_classes_by_name_and_by_number(root: Path) -> None:
    """One column of text or whole numbers holds classes: all that occur, or those that are named."""
    write(root, "file,kind", "dog", "cat", "dog", "cat", "cow")
    bundle = load(root)
    assert bundle.class_names == ("cat", "cow", "dog")
    assert targets_by_image(bundle) == {2: 2, 0: 0, 1: 2, 3: 0, 4: 1}
    assert bundle.train.targets.dtype == torch.int64
    assert targets_by_image(load(root, class_names=["dog", "owl", "cow", "cat"])) == {2: 0, 0: 3, 1: 0, 3: 3, 4: 2}
    assert "label 'cow' of sample 1 is none of the 2 classes" in refusal(root, class_names=["dog", "cat"])
    write(root, "file,grade", "10", "9", "10", "2", "9")
    assert load(root).class_names == ("2", "9", "10")


def test_a_target_of_a_regression(root: Path) -> None:
    """One column with fractions holds numbers; whole ones are numbers where that is said."""
    write(root, "file,age", "61.5", "7", "-2e1", "50", "49")
    bundle = load(root)
    assert targets_by_image(bundle) == {2: [61.5], 0: [7], 1: [-20], 3: [50], 4: [49]}
    assert bundle.class_names == ("age",)
    write(root, "file,age", "61", "7", "20", "50", "49")
    assert load(root, target_kind="numeric").train.targets.shape == (3, 1)
    assert load(root).train.targets.shape == (3,)


def test_one_finding(root: Path) -> None:
    """A column of 0 and 1 are two classes, or one label where that is said."""
    write(root, "file,fracture", "1", "0", "1", "0", "1")
    assert load(root).class_names == ("0", "1")
    bundle = load(root, target_kind="boolean")
    assert bundle.class_names == ("fracture",)
    assert targets_by_image(bundle) == {2: [1], 0: [0], 1: [1], 3: [0], 4: [1]}


def test_chosen_columns(root: Path) -> None:
    """In the order in which they are chosen; what else stands there does not count."""
    write(root, "file,a,b,c", "1,0,x", "0,0,x", "1,1,x", "0,1,x", "1,0,x")
    bundle = load(root, label_columns=["b", "a"])
    assert bundle.class_names == ("b", "a")
    assert targets_by_image(bundle)[2] == [0, 1]
    assert "column c is neither 0 nor 1" in refusal(root)
    assert "columns of labels are to be d" in refusal(root, label_columns=["d"])


def test_images_without_a_line_are_left_out_and_said(root: Path) -> None:
    """As are those that are links to others."""
    write(root, "file,kind", "dog", "cat", "dog", "cat", "cow")
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(root / "train" / "b" / "9.png")
    bundle = load(root)
    assert len(bundle.train) == 3
    assert "train: 1 images without a line in labels.csv, left out (9.png)" in bundle.notes


def test_limits_choose_among_the_labelled(root: Path) -> None:
    """Labels stay with their images, ids are those of the whole set."""
    write(root, "file,kind", "dog", "cat", "dog", "cat", "cow")
    config = DataConfig(name="image_folder", path=str(root), max_train=2, options={"labels": "labels.csv"})
    bundle, whole = load_image_folder(config), load(root)
    assert len(bundle.train) == 2
    assert torch.equal(bundle.train.targets, whole.train.of_ids(bundle.train.sample_ids).targets)
    assert torch.equal(bundle.train.inputs, whole.train.of_ids(bundle.train.sample_ids).inputs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,a\ntrain/0.png,x\ntrain\\0.png,y\n", "line 3: train/0.png is in line 2, too"),
        ("file,a\ntrain/0.png,x\ntrain/gone.png,y\n", "tells of 1 image(s) of which there is no file in"),
        ("file,a\ntrain/0.png,x\n0.png,y\n", "1 file(s) neither in train/ nor in test/ (0.png)"),
        ("file,a\ntrain/0.png,x\n", "tells of no image in"),
        ("file,a\ntrain/0.png\n", "line 2: 1 values in place of 2"),
        ("file,a\ntrain/0.png,\n", "line 2: column a is empty"),
        ("file;a\ntrain/0.png;x\n", "with commas between them"),
        ("name,a\ntrain/0.png,x\n", "one must be called 'file'"),
        ("file\ntrain/0.png\n", "columns of labels are to be (none)"),
        ("file,a,a\ntrain/0.png,1,1\n", "name each of them once"),
        ("file,a\n", "names no files"),
        ("", "has the columns (none)"),
        ('file,a\n"train/0.png,x\n', "unexpected end of data"),
        ("file,a,b\ntrain/0.png,1.5,0\ntest/3.png,many,0\n", "line 3: column a is no finite number"),
        ("file,a,b\ntrain/0.png,1,0\ntest/3.png,nan,0\n", "line 3: column a is neither 0 nor 1"),
    ],
)
def test_unusable_tables(root: Path, text: str, message: str) -> None:
    """One line says where and what to do."""
    (root / "labels.csv").write_text(text)
    assert message in refusal(root)


def test_two_columns_of_classes(root: Path) -> None:
    write(root, "file,a,b", "1,2", "1,2", "1,2", "1,2", "1,2")
    assert "2 columns of classes (a, b); choose one" in refusal(root, target_kind="categorical")
    assert load(root).train.targets.shape == (3, 2)


def test_what_is_no_text(root: Path) -> None:
    (root / "labels.csv").write_bytes("file,a\ntrain/0.png,ü\n".encode("latin-1"))
    assert "no text in UTF-8" in refusal(root)
    (root / "labels.csv").unlink()
    assert "cannot read" in refusal(root)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": None, "label_columns": ["a"]}, "label_columns: has no effect without labels"),
        ({"labels": None, "target_kind": "numeric"}, "target_kind: has no effect without labels"),
        ({"class_names": ["a", "b"], "target_kind": "boolean"}, "class_names: has no effect"),
    ],
)
def test_options_without_effect(root: Path, options: dict[str, Any], message: str) -> None:
    write(root, "file,fracture", "1", "0", "1", "0", "1")
    with pytest.raises(ConfigError, match=message):
        load(root, **options)
