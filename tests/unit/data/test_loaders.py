from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.bundled_sets import load_digits
from smule_crypten.data.loaders import (
    load_idx,
    load_target,
    load_torchvision_set,
)
from smule_crypten.data.loaders_folder import load_image_folder
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.torchvision_compat import load_torchvision


class TestDigits:
    def test_scale_shape_and_split(self) -> None:
        """1,797 images in [0, 1] are split once, stratified, with ids that number all of them."""
        bundle = load_digits(DataConfig(name="digits"))
        assert bundle.input_shape == (1, 8, 8)
        assert (len(bundle.train), len(bundle.test)) == (1347, 450)
        assert (bundle.train.inputs.min(), bundle.train.inputs.max()) == (0, 1)
        ids = torch.cat([bundle.train.sample_ids, bundle.test.sample_ids])
        assert torch.equal(ids.sort().values, torch.arange(1797))
        shares = bundle.test.class_counts(10) / (bundle.test.class_counts(10) + bundle.train.class_counts(10))
        assert (shares - 0.25).abs().max() < 0.01

    def test_split_never_changes(self) -> None:
        """Accuracies stay comparable between versions only while the test split is this one."""
        test = load_digits(DataConfig(name="digits")).test
        assert test.sample_ids[:8].tolist() == [21, 24, 28, 34, 35, 37, 39, 42]
        assert int(test.sample_ids.sum()) == 423769

    @pytest.mark.parametrize("fraction", [0.0, 1.0, 0.001, "half"])
    def test_impossible_test_fraction_is_refused(self, fraction: Any) -> None:
        """A fraction that leaves a class without test samples is a wrong setting."""
        with pytest.raises(ConfigError, match=r"data\.options\.test_fraction"):
            load_digits(DataConfig(name="digits", options={"test_fraction": fraction}))


class TestTorchvisionSets:
    @pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
    def test_mnist_like(self, tmp_path: Path, write_idx: Callable[..., None], name: str, folder: str) -> None:
        """torchvision's files give bytes with a channel axis and the data set's own class names."""
        write_idx(tmp_path / folder / "raw")
        bundle = load_torchvision_set(DataConfig(name=name, path=str(tmp_path)))
        assert bundle.input_shape == (1, 4, 5)
        assert bundle.train.inputs.dtype == torch.uint8
        assert bundle.train.inputs[2].flatten().tolist() == list(range(40, 60))
        assert bundle.test.targets.tolist() == [0, 1, 2, 0, 1, 2]
        assert bundle.num_classes == 10

    @pytest.mark.parametrize(
        ("name", "class_name", "folder", "labels_key", "names_key"),
        [
            ("cifar10", "CIFAR10", "cifar-10-batches-py", "labels", "label_names"),
            ("cifar100", "CIFAR100", "cifar-100-python", "fine_labels", "fine_label_names"),
        ],
    )
    def test_cifar(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, class_name: str, folder: str,
        labels_key: str, names_key: str,
    ) -> None:  # fmt: skip
        """CIFAR's channels-last arrays become channels first, with fine labels for CIFAR-100."""
        (tmp_path / folder).mkdir()
        pixels = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
        batch = {"data": pixels, labels_key: [1, 0], "coarse_labels": [7, 7]}
        for file, content in (("some", batch), ("names", {names_key: ["cat", "dog"]})):
            (tmp_path / folder / file).write_bytes(pickle.dumps(content))
        dataset_class = getattr(load_torchvision().datasets, class_name)
        monkeypatch.setattr(dataset_class, "train_list", [["some", None]])
        monkeypatch.setattr(dataset_class, "test_list", [["some", None]])
        monkeypatch.setattr(dataset_class, "meta", {"filename": "names", "key": names_key, "md5": None})
        bundle = load_torchvision_set(DataConfig(name=name, path=str(tmp_path)))
        assert torch.equal(bundle.train.inputs, torch.from_numpy(pixels).view(2, 3, 32, 32))
        assert bundle.train.targets.tolist() == [1, 0]
        assert bundle.class_names == ("cat", "dog")

    @pytest.mark.parametrize(
        ("name", "folder"),
        [
            ("mnist", "MNIST/raw"),
            ("fashion_mnist", "FashionMNIST/raw"),
            ("cifar10", "cifar-10-batches-py"),
            ("cifar100", "cifar-100-python"),
        ],
    )
    def test_missing_files_are_named(self, tmp_path: Path, name: str, folder: str) -> None:
        """Nothing is downloaded unasked: the message says what was looked for and both remedies."""
        with pytest.raises(DataError, match=rf"{tmp_path}/{folder}; set data\.path .*or data\.download=true"):
            load_torchvision_set(DataConfig(name=name, path=str(tmp_path)))
        assert list(tmp_path.iterdir()) == []

    def test_damaged_files_are_refused(self, tmp_path: Path, write_idx: Callable[..., None]) -> None:
        """A truncated file gives a DataError, whatever torchvision raises."""
        write_idx(tmp_path / "MNIST/raw")
        path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[:-7])
        with pytest.raises(DataError, match="cannot be read"):
            load_torchvision_set(DataConfig(name="mnist", path=str(tmp_path)))

    def test_download_is_passed_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """download=true reaches torchvision, and a failed download is a DataError."""

        def no_network(dataset: object) -> None:
            raise OSError("no network")

        monkeypatch.setattr(load_torchvision().datasets.MNIST, "download", no_network)
        with pytest.raises(DataError, match="no network"):
            load_torchvision_set(DataConfig(name="mnist", path=str(tmp_path), download=True))


class TestIdx:
    def test_classes_come_from_the_training_labels(self, tmp_path: Path, write_idx: Callable[..., None]) -> None:
        """Without num_classes the highest training label decides."""
        write_idx(tmp_path)
        bundle = load_idx(DataConfig(name="idx", path=str(tmp_path)))
        assert (len(bundle.train), len(bundle.test), bundle.num_classes) == (12, 6, 3)

    def test_number_of_classes_can_be_set(self, tmp_path: Path, write_idx: Callable[..., None]) -> None:
        """A party whose data misses the last class can still build the common network."""
        write_idx(tmp_path)
        bundle = load_idx(DataConfig(name="idx", path=str(tmp_path), options={"num_classes": 5}))
        assert bundle.num_classes == 5

    def test_classes_can_be_named(self, tmp_path: Path, write_idx: Callable[..., None]) -> None:
        """Files that hold numbers only can say what the numbers mean, so that a peer can compare it."""
        write_idx(tmp_path)
        options = {"class_names": ["ant", "bee", "cow", "dog"]}
        bundle = load_idx(DataConfig(name="idx", path=str(tmp_path), options=options))
        assert bundle.public_class_names == ("ant", "bee", "cow", "dog")
        assert bundle.num_classes == 4


class TestImageFolder:
    def write(self, root: Path, *classes: str) -> None:
        for name in classes:
            (root / name).mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(root / name / "1.png")

    def test_both_splits_are_read(self, tmp_path: Path) -> None:
        """Class folders give the names, image_size the shape."""
        self.write(tmp_path, "train/a", "train/b", "test/a", "test/b")
        config = DataConfig(name="image_folder", path=str(tmp_path), options={"image_size": [2, 3]})
        bundle = load_image_folder(config)
        assert bundle.class_names == ("a", "b")
        assert bundle.input_shape == (3, 2, 3)

    def test_different_classes_are_refused(self, tmp_path: Path) -> None:
        """Labels number the folders of a split, so that a missing folder would shift them."""
        self.write(tmp_path, "train/a", "train/b", "test/b")
        with pytest.raises(DataError, match=r"different classes \(a\)"):
            load_image_folder(DataConfig(name="image_folder", path=str(tmp_path)))

    @pytest.mark.parametrize("size", [[0, 3], [3], "big"])
    def test_impossible_size_is_refused(self, tmp_path: Path, size: Any) -> None:
        """image_size is two positive numbers."""
        with pytest.raises(ConfigError, match=r"data\.options\.image_size"):
            load_image_folder(DataConfig(name="image_folder", path=str(tmp_path), options={"image_size": size}))


USER_MODULE = """
import torch
from torch.utils.data import TensorDataset
from smule_crypten.data.samples import DataBundle, Samples


def pair(count=6, dtype=torch.float32):
    images = torch.arange(count * 4).view(count, 1, 2, 2).to(dtype)
    dataset = TensorDataset(images, torch.arange(count) % 3)
    return dataset, dataset


def named():
    train, test = pair()
    train.classes = ["x", "y", "z", "never seen"]
    return train, test


def bundle():
    part = Samples(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]), torch.tensor([7, 9]))
    return DataBundle(part, part, ("x", "y"))


def three():
    return [1, 2, 3]


def numbers():
    return [1, 2], [3, 4]


def sizes():
    return [(torch.zeros(1, 2, 2), 0), (torch.zeros(1, 3, 3), 1)], [(torch.zeros(1, 2, 2), 0)]
"""


class TestTarget:
    @pytest.fixture(autouse=True)
    def user_module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "user_data_module.py").write_text(USER_MODULE)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "user_data_module", raising=False)

    def load(self, name: str, **options: Any) -> Any:
        options = {"_target_": f"user_data_module.{name}", **options}
        return load_target(DataConfig(name="target", options=options))

    def test_pair_of_datasets(self) -> None:
        """Own Datasets are read in order, with arguments passed on and no use of the global random state."""
        before = torch.get_rng_state()
        bundle = self.load("pair", count=1500)
        assert torch.equal(torch.get_rng_state(), before)
        assert bundle.train.inputs.flatten().tolist() == list(range(6000))
        assert bundle.train.targets[:4].tolist() == [0, 1, 2, 0]
        assert bundle.train.sample_ids.tolist() == list(range(1500))
        assert bundle.class_names == ("0", "1", "2")

    def test_class_names_of_a_dataset(self) -> None:
        """A Dataset with classes, as torchvision's have, decides the number of classes."""
        assert self.load("named").class_names == ("x", "y", "z", "never seen")

    def test_bundle_is_taken_as_it_is(self) -> None:
        """A DataBundle keeps its own sample ids."""
        assert self.load("bundle").train.sample_ids.tolist() == [7, 9]

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("three", "returned a list; return a DataBundle or a pair"),
            ("numbers", "split 'train': cannot be read"),
            ("sizes", "split 'train': cannot be read .*of one size"),
        ],
    )
    def test_other_results_are_refused(self, name: str, message: str) -> None:
        """What the callable returns is named together with what it should return."""
        with pytest.raises(DataError, match=message):
            self.load(name)

    def test_wrong_argument_is_reported(self) -> None:
        """An option that the callable does not take gives one line."""
        with pytest.raises(DataError, match="unexpected keyword argument 'colour'"):
            self.load("pair", colour=1)

    def test_unimportable_target_is_a_wrong_setting(self) -> None:
        """A misspelt name is a ConfigError, not a DataError."""
        with pytest.raises(ConfigError, match=r"data\.options\._target_: cannot import user_data_module\.missing"):
            self.load("missing")
