from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.datasets import _NEEDS_NO_PATH, LOADERS, load_data
from smule_crypten.errors import ConfigError, DataError

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def npz_config(folder: Path, **changes: Any) -> DataConfig:
    """60 train and 20 test images 1x4x4 whose pixels are all the sample id; 3 classes."""
    arrays = {
        "x_train": np.tile(np.arange(60, dtype=np.uint8)[:, None, None, None], (1, 1, 4, 4)),
        "y_train": np.arange(60) % 3,
        "x_test": np.tile(np.arange(20, dtype=np.uint8)[:, None, None, None], (1, 1, 4, 4)),
        "y_test": np.arange(20) % 3,
    }
    arrays.update({key: value for key, value in changes.items() if key in arrays})
    np.savez(folder / "data.npz", **arrays)
    settings = {key: value for key, value in changes.items() if key not in arrays}
    return DataConfig(name="npz", path=str(folder / "data.npz"), **settings)


def test_limits_take_a_fixed_subset_with_stable_ids(tmp_path: Path) -> None:
    """max_train and max_test keep the ids of the whole set, and choose the same samples every time."""
    config = npz_config(tmp_path, max_train=30, max_test=5)
    bundle = load_data(config)
    assert (len(bundle.train), len(bundle.test)) == (30, 5)
    assert torch.equal(bundle.train.inputs[:, 0, 0, 0].long(), bundle.train.sample_ids)
    assert torch.equal(bundle.train.targets, bundle.train.sample_ids % 3)
    assert torch.equal(bundle.train.sample_ids, load_data(config).train.sample_ids)
    assert len(load_data(npz_config(tmp_path, max_train=1000)).train) == 60


def test_classes_are_counted_before_the_limit(tmp_path: Path) -> None:
    """A subset that misses a class does not shrink the network's output."""
    assert load_data(npz_config(tmp_path, max_train=1)).num_classes == 3


def test_unknown_name_lists_the_known_ones() -> None:
    """A misspelt data set gets the nearest name and all others."""
    with pytest.raises(ConfigError, match=r"unknown data set 'cifar' .*did you mean cifar10.*image_folder"):
        load_data(DataConfig(name="cifar"))


@pytest.mark.parametrize("name", sorted(set(LOADERS) - {"target"}))
def test_unknown_option_is_refused(name: str, tmp_path: Path) -> None:
    """A misspelt option is never ignored."""
    path = None if name in _NEEDS_NO_PATH else str(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.options\.colour: unknown option"):
        load_data(DataConfig(name=name, path=path, options={"colour": 1}))


@pytest.mark.parametrize("name", ["mnist", "cifar10", "idx", "image_folder", "npz"])
def test_needed_path_is_asked_for(name: str) -> None:
    """Without a path the user is told what to set it to."""
    with pytest.raises(ConfigError, match=rf"data\.path: data set '{name}' needs it; set data\.path to"):
        load_data(DataConfig(name=name))


def test_path_without_effect_is_refused() -> None:
    """A path on the default data set would otherwise train on digits, unnoticed."""
    with pytest.raises(ConfigError, match=r"data\.path: has no effect on data set 'digits'"):
        load_data(DataConfig(name="digits", path="/somewhere"))


def test_download_without_effect_is_refused(tmp_path: Path) -> None:
    """Only torchvision's sets can be downloaded."""
    with pytest.raises(ConfigError, match="data set 'npz' cannot be downloaded"):
        load_data(npz_config(tmp_path, download=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": np.full(20, 3)}, r"split 'test': label 3 of sample 0 is outside 0\.\.2"),
        ({"y_train": np.array([-1] + [2] * 59)}, "split 'train': label -1 of sample 0"),
        ({"x_train": np.full((60, 1, 4, 4), np.nan)}, "split 'train': sample 0 holds NaN"),
        ({"x_test": np.zeros((0, 1, 4, 4)), "y_test": np.zeros(0, int)}, "split 'test': empty"),
        ({"x_train": np.zeros((60, 1, 5, 4), np.uint8)}, r"train inputs are \(1, 5, 4\).*test inputs are \(1, 4, 4\)"),
        ({"x_train": np.zeros((60, 1, 4, 4))}, "torch.float32, test inputs are .*torch.uint8"),
        ({"y_train": np.zeros(60, int)}, "at least 2 are needed"),
    ],
)
def test_every_data_set_is_checked(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """What a loader returns passes the checks of both splits before anything is trained on it."""
    with pytest.raises(DataError, match=message):
        load_data(npz_config(tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({}, "train: 60 of 60 inputs hold one value only"),
        ({"x_train": (np.arange(960) % 2).reshape(60, 1, 4, 4).astype(np.uint8)}, "train: bytes of 0 and 1 only"),
        (
            {
                "x_train": np.linspace(0, 1, 960).reshape(60, 1, 4, 4),
                "x_test": np.linspace(0, 255, 320).reshape(20, 1, 4, 4),
            },
            "values go up to 1 in train and 255 in test",
        ),
        (
            {
                "x_train": np.linspace(0, 1, 960).reshape(60, 4, 4),
                "x_test": np.linspace(0, 1, 320).reshape(20, 4, 4),
            },
            "inputs of 4x4 are taken as 4 channels of 4 steps in time",
        ),
        (
            {
                "x_train": np.linspace(0, 900, 240).reshape(60, 4),
                "x_test": np.linspace(0, 900, 80).reshape(20, 4),
            },
            "inputs are of size ",
        ),
    ],
)
def test_what_hardly_is_meant_is_said(tmp_path: Path, changes: dict[str, Any], note: str) -> None:
    """Images that a conversion has ruined can be learned from, to no purpose."""
    assert any(text.startswith(note) for text in load_data(npz_config(tmp_path, **changes)).notes)
    assert load_data(DataConfig(name="digits")).notes == ()


@pytest.mark.slow
@pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_debians_fashion_mnist_loads() -> None:
    """The real IDX files have the published sizes and statistics."""
    bundle = load_data(DataConfig(name="idx", path=str(FASHION_MNIST)))
    assert (len(bundle.train), len(bundle.test), bundle.input_shape) == (60000, 10000, (1, 28, 28))
    assert bundle.train.class_counts(10).tolist() == [6000] * 10
    inputs_NX = bundle.train.normalized((0.2860,), (0.3530,)).inputs
    assert inputs_NX.mean() == pytest.approx(0, abs=1e-3)
    assert inputs_NX.std() == pytest.approx(1, abs=1e-3)
