"""Folders of images as they lie about: other files, hidden folders, links, depths, and classes without images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_makers import GREY_8, GREY_16, oriented
from PIL import Image

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.inputs import read_inputs
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """train/ and test/ with three images of each of two classes."""
    for split in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            for number in range(3):
                write(tmp_path / split / name / f"{number}.png", GREY_8 + 10 * label + number)
    return tmp_path


def write(path: Path, pixels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def load(root: Path, **options: Any) -> DataBundle:
    return load_data(DataConfig(name="image_folder", path=str(root), options=options))


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


class TestWhatCounts:
    def test_counts_are_said(self, root: Path) -> None:
        """Also where nothing is left out."""
        assert load(root).notes == ("train: 6 images in 2 class folders", "test: 6 images in 2 class folders")

    @pytest.mark.parametrize(
        "name", [".ipynb_checkpoints", "__MACOSX", ".hidden", "@eaDir", "$RECYCLE.BIN", "lost+found"]
    )
    @pytest.mark.parametrize("where", ["train", "train/cat"])
    def test_folders_of_systems_are_no_class(self, root: Path, name: str, where: str) -> None:
        """They sort first and would be class 0, or hold a second copy of the samples."""
        write(root / where / name / "0.png", GREY_8)
        bundle = load(root)
        assert bundle.class_names == ("cat", "dog")
        assert len(bundle.train) == 6
        assert any(f"({name})" in note and "left out" in note for note in bundle.notes)

    def test_other_files_are_named_by_their_suffix(self, root: Path) -> None:
        """Twenty-four files that are left out without a word are half of a data set."""
        for number in range(24):
            (root / "train" / "cat" / f"{number}.heic").write_bytes(b"none")
        for name in ("README", "Thumbs.db", "._0.png"):
            (root / "train" / "cat" / name).write_bytes(b"none")
        (root / "test" / "list.csv").write_text("none")
        notes = load(root).notes
        assert "train: 24 files called *.heic, left out (0.heic and 23 more)" in notes
        assert "train: 1 files without a suffix, left out (README)" in notes
        assert "train: 1 hidden files, left out (._0.png)" in notes
        assert "test: 1 files beside the class folders, left out (list.csv)" in notes

    def test_all_kinds_that_are_read_count(self, root: Path) -> None:
        """GIF and JPEG 2000 as much as PNG, with capitals as without."""
        for name in ("a.gif", "b.jp2", "c.TIF", "d.webp", "e.JPG", "f.bmp", "g.pgm"):
            write(root / "train" / "dog" / name, GREY_8)
        assert len(load(root).train) == 13

    def test_splits_of_other_names_are_said(self, root: Path) -> None:
        """A part that nobody reads may be a typing mistake."""
        (root / "val").mkdir()
        assert load(root).notes[-1] == "beside train and test, not used: val"

    def test_a_class_of_other_files_only_is_refused(self, root: Path) -> None:
        """The message says what lies there."""
        for path in (root / "train" / "dog").iterdir():
            path.rename(path.with_suffix(".heic"))
        assert "3 files called *.heic" in refusal(root)

    def test_names_in_two_spellings_are_one_class(self, root: Path) -> None:
        """An umlaut of macOS in train/, of Linux in test/."""
        write(root / "train" / "mu\u0308cke" / "0.png", GREY_8)
        write(root / "test" / "m\u00fccke" / "0.png", GREY_8)
        assert load(root).class_names == ("cat", "dog", "m\u00fccke")

    def test_names_that_are_no_text(self, root: Path) -> None:
        """What is printed and sent is text, on one line."""
        folder = os.fsencode(root / "train") + b"/cat/"
        for name in (b"\xff.heic", b"a\nb.heic"):
            Path(os.fsdecode(folder + name)).write_bytes(b"")
        (note,) = [note for note in load(root).notes if ".heic" in note]
        assert "(a\\nb.heic and 1 more)" in note
        note.encode()


class TestLinks:
    def test_a_link_to_its_own_parent_multiplies_nothing(self, root: Path) -> None:
        """Followed, it gave 1,008 samples for 48; beside the class folders it would be a class."""
        for place in ("train/cat/again", "train/again", "train/dog/deep/again"):
            (root / place).parent.mkdir(exist_ok=True)
            (root / place).symlink_to(root / "train")
        (root / "train/cat/up").symlink_to("..")
        (root / "train/cat/self").symlink_to(".")
        bundle = load(root)
        assert (len(bundle.train), bundle.class_names) == (6, ("cat", "dog"))
        assert sum("links to a folder that contains them" in note for note in bundle.notes) == 1

    def test_a_file_counts_once(self, root: Path) -> None:
        """By whatever kind of link."""
        (root / "train/cat/soft.png").symlink_to("0.png")
        (root / "train/cat/hard.png").hardlink_to(root / "train/cat/1.png")
        (root / "train/cat/folder").symlink_to(root / "train/cat/.." / "cat")
        bundle = load(root)
        assert len(bundle.train) == 6
        assert any("2 links to files that count already" in note for note in bundle.notes)

    def test_links_that_are_no_copies_are_followed(self, root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Data sets are put together by links to a store."""
        store = tmp_path_factory.mktemp("store")
        write(store / "cow" / "0.png", GREY_8)
        for split in ("train", "test"):
            (root / split / "cow").symlink_to(store / "cow")
        bundle = load(root)
        assert bundle.class_names == ("cat", "cow", "dog")
        assert any("1 test images are the same files as training images" in note for note in bundle.notes)

    def test_one_file_in_two_classes_is_refused(self, root: Path) -> None:
        """One of the two labels is wrong."""
        (root / "train/dog/cat.png").symlink_to(root / "train/cat/0.png")
        assert "one file in two classes" in refusal(root)

    def test_a_link_to_nothing_is_refused(self, root: Path) -> None:
        """A sample that is missing is nothing to leave out in silence. A pipe is no file, and is not waited for."""
        os.mkfifo(root / "train/cat/pipe.png")
        assert any("1 no regular files" in note for note in load(root).notes)
        (root / "train/cat/gone.png").symlink_to("nowhere.png")
        assert "gone.png is a link to nothing" in refusal(root)


class TestListedClasses:
    NAMES = ("ant", "cat", "dog", ".rare")

    def test_classes_without_images(self, root: Path) -> None:
        """Numbers follow the list, as the peer has it; a class may have no folder, or an empty one, in either split."""
        (root / "train" / "ant").mkdir()
        bundle = load(root, class_names=list(self.NAMES))
        assert bundle.public_class_names == self.NAMES
        assert bundle.train.class_counts(4).tolist() == [0, 3, 3, 0]
        assert bundle.test.targets.tolist() == [1, 1, 1, 2, 2, 2]

    def test_the_list_decides_the_order_and_what_is_hidden(self, root: Path) -> None:
        """A name that would be left out otherwise is a class if it is listed."""
        write(root / "train" / ".rare" / "0.png", GREY_8)
        bundle = load(root, class_names=["dog", ".rare", "cat"])
        assert bundle.train.targets.tolist() == [0, 0, 0, 1, 2, 2, 2]

    def test_unknown_folders_are_refused(self, root: Path) -> None:
        """A typing mistake would lose a class."""
        assert "dog is none of the classes in data.options.class_names (cat, dogs)" in refusal(
            root, class_names=["cat", "dogs"]
        )

    def test_without_a_list_the_remedy_is_named(self, root: Path) -> None:
        """A split that lacks a class, or has an empty folder of it."""
        for path in (root / "test" / "dog").iterdir():
            path.unlink()
        assert "list all classes by data.options.class_names" in refusal(root)
        (root / "test" / "dog").rmdir()
        assert "list all classes by data.options.class_names" in refusal(root)


class TestDepths:
    def test_deep_images_keep_their_depth_to_the_network(self, root: Path) -> None:
        """16 bits and 8 bits of the same picture are the same numbers after normalization."""
        means = []
        for pixels in (GREY_8, GREY_8.astype(np.uint16) * 257):
            for path in root.glob("*/*/*.png"):
                write(path, pixels)
            images = load(root).train.normalized((0.5,), (0.25,)).inputs
            means.append(images)
        assert torch.allclose(*means, atol=1e-6)

    def test_mixed_depths_are_refused_by_name(self, root: Path) -> None:
        """In one split, and between the two."""
        write(root / "train/dog/1.png", GREY_16)
        text = refusal(root)
        assert "dog/1.png has 16 bits" in text
        assert "cat/0.png has 8 bits" in text
        for path in (root / "train").glob("*/*.png"):
            write(path, GREY_16)
        assert "images in " in (text := refusal(root))
        assert "train have 16 bits" in text

    def test_12_bits_in_16_are_pointed_out(self, root: Path) -> None:
        """They are dark, which data.mean and data.std can mend."""
        for path in root.glob("*/*/*.png"):
            write(path, GREY_16 // 16)
        assert any("numbers up to 3437 only, so fit data.mean" in note for note in load(root).notes)

    def test_grey_folders(self, root: Path) -> None:
        """channels=1 keeps one channel, of 8 bits and of 16."""
        assert load(root, channels=1).input_shape == (1, 3, 4)
        for path in root.glob("*/*/*.png"):
            write(path, GREY_16)
        train = load(root, channels=1).train.inputs
        assert (tuple(train.shape), train.dtype) == ((6, 1, 3, 4), torch.float32)

    def test_turned_images_are_counted(self, root: Path) -> None:
        """So that nobody wonders at sizes."""
        oriented(root / "train/cat/0.png", np.ascontiguousarray(GREY_8.T), 6)
        assert "train: 1 images turned by their orientation tag (0.png)" in load(root).notes


class TestPrediction:
    def test_a_grey_folder_for_a_grey_network(self, tmp_path: Path) -> None:
        """As radiographs are: the same numbers as in training, deep ones included, and what was left out is said."""
        write(tmp_path / "b.png", GREY_8)
        oriented(tmp_path / "a.jpg", GREY_8, 3)
        (tmp_path / "c.heic").write_bytes(b"none")
        (tmp_path / "more").mkdir()
        found = read_inputs(tmp_path, (1, 3, 4), trained_on=torch.uint8)
        assert found.names == ("a.jpg", "b.png")
        assert torch.equal(found.inputs[1, 0], torch.from_numpy(GREY_8))
        assert found.notes == (
            "1 subfolders, not looked into (more)",
            "1 files called *.heic, left out (c.heic)",
            "1 images turned by their orientation tag (a.jpg)",
        )
        for name in found.names:
            (tmp_path / name).unlink()
        write(tmp_path / "deep.png", GREY_16)
        for channels in (1, 3):
            found = read_inputs(tmp_path, (channels, 3, 4), trained_on=torch.uint8)
            expected = torch.from_numpy(GREY_16 / 65535).float().expand(channels, 3, 4)
            assert torch.allclose(found.inputs[0], expected)
