"""Arrays of user code and files: types, gradients and the place of the channels."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Subset, TensorDataset

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.arrays import as_inputs, as_tensor, speaks_for_channels_last
from smule_crypten.data.datasets import load_data
from smule_crypten.data.inputs import Scale, read_inputs
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.party.states import digest_of

IMAGES = np.linspace(0, 1, 6 * 1 * 2 * 3).reshape(6, 1, 2, 3)
LABELS = np.arange(6) % 2
RETURNED: dict[str, Any] = {}


def returned() -> Any:
    """What a test put there, as the callable of a user."""
    return RETURNED["value"]


def load(value: Any, **options: Any) -> DataBundle:
    RETURNED["value"] = value
    return load_data(DataConfig(name="target", options={"_target_": f"{__name__}.returned", **options}))


def pair(images: torch.Tensor, **attributes: Any) -> tuple[TensorDataset, TensorDataset]:
    datasets = [TensorDataset(images, torch.from_numpy(LABELS)) for _ in range(2)]
    for name, value in attributes.items():
        setattr(datasets[0], name, value)
    return datasets[0], datasets[1]


def bundle(images: Any, labels: Any = LABELS, ids: Any = None, names: Any = ("x", "y")) -> DataBundle:
    part = Samples(images, labels, np.arange(6) if ids is None else ids)
    return DataBundle(part, part, names)


def inference_tensor() -> torch.Tensor:
    with torch.inference_mode():
        return torch.from_numpy(IMAGES).float() + 0


class TestPlainTensors:
    @pytest.mark.parametrize(
        "images",
        [
            torch.from_numpy(IMAGES).float().requires_grad_(),
            nn.Parameter(torch.from_numpy(IMAGES)),
            nn.Identity()(torch.from_numpy(IMAGES).requires_grad_()) * 1,
            inference_tensor(),
            torch.from_numpy(IMAGES).half(),
        ],
    )
    def test_tensors_with_a_history(self, images: torch.Tensor) -> None:
        """Those that require gradients, parameters and results of networks train as plain ones do."""
        for value in (pair(images), bundle(images)):
            train = load(value).train
            assert type(train.inputs) is torch.Tensor
            assert (train.inputs.dtype, train.inputs.requires_grad) == (torch.float32, False)
            np.testing.assert_allclose(train.inputs.numpy(), IMAGES, atol=1e-3)
            digest_of(train)
            weight = torch.ones(1, requires_grad=True)
            (train.inputs * weight).sum().backward()

    @pytest.mark.parametrize(
        "images",
        [
            IMAGES,
            IMAGES.astype(">f4"),
            IMAGES.astype(np.longdouble),
            np.asfortranarray(IMAGES),
            IMAGES[::-1][::-1],
            np.broadcast_to(IMAGES, IMAGES.shape),
            np.ma.masked_array(IMAGES),
            IMAGES.tolist(),
        ],
    )
    def test_numpy_bundles(self, images: Any) -> None:
        """Of any byte order, stride and floating-point type, read-only ones included; whole numbers become int64."""
        for labels in (LABELS, LABELS.astype(np.uint8), LABELS.tolist()):
            train = load(bundle(images, labels)).train
            np.testing.assert_allclose(train.inputs.numpy(), IMAGES, atol=1e-6)
            assert (train.targets.tolist(), train.targets.dtype) == (LABELS.tolist(), torch.int64)
            train.inputs.mul_(1)

    @pytest.mark.parametrize(
        ("images", "text"),
        [
            (np.ma.masked_array(IMAGES, IMAGES > 0.5), "some values are masked"),
            (torch.from_numpy(IMAGES).to_sparse(), "sparse"),
            (torch.empty(6, 1, 2, 3, device="meta"), "meta"),
            (np.array([{}], dtype=object), "type object"),
            (np.array(["a"]), "type <U1"),
            (None, "type object"),
            ([[1], [2, 3]], "no array of numbers"),
            (IMAGES.astype(complex), "type complex128"),
            (IMAGES.astype(np.int32), "int32; convert them to uint8 or float32"),
            (torch.from_numpy(IMAGES) > 0.5, "bool; convert them"),
            ((255 * IMAGES[:, 0]).astype(np.uint8), r"give these an axis of one channel"),
            (IMAGES * 1e300, "NaN or infinite"),
        ],
    )
    def test_arrays_that_would_be_misread(self, images: Any, text: str) -> None:
        """One line with the part of the data and the remedy."""
        with pytest.raises(DataError, match=text) as caught:
            load(bundle(images))
        assert "target" in str(caught.value)

    def test_parts_that_are_none(self) -> None:
        """A bundle of something else."""
        with pytest.raises(DataError, match="is a tuple; give Samples"):
            load(DataBundle((IMAGES, LABELS), (IMAGES, LABELS), ("x", "y")))  # type: ignore[arg-type]


class TestClassNames:
    @pytest.mark.parametrize(
        ("classes", "expected"),
        [
            (None, ("0", "1")),
            (3, ("0", "1", "2")),
            (np.int64(2), ("0", "1")),
            ([7, 9], ("7", "9")),
            (np.array(["cat", "dog"]), ("cat", "dog")),
            ({"dog": 1, "cat": 0}, ("cat", "dog")),
            ({1: "dog", 0: "cat"}, ("cat", "dog")),
        ],
    )
    def test_of_datasets_and_bundles(self, classes: Any, expected: tuple[str, ...]) -> None:
        """None, a number, numbers and mappings say clearly enough what they mean."""
        images = torch.from_numpy(IMAGES)
        assert load(pair(images, classes=classes)).class_names == expected
        assert load(bundle(images, names=classes)).class_names == expected

    @pytest.mark.parametrize(
        "classes",
        ["ab", b"ab", {"cat", "dog"}, ["cat", "cat"], ["cat", None], [], 0, True, 2.5, {"cat": 1, "dog": 2}, len],
    )
    def test_of_no_clear_meaning(self, classes: Any) -> None:
        """The letters of a text, or a set in the order of the day, would be classes."""
        for value in (pair(torch.from_numpy(IMAGES), classes=classes), bundle(IMAGES, names=classes)):
            with pytest.raises(DataError, match="give a list of different names in order of the class numbers"):
                load(value)

    def test_of_a_part(self) -> None:
        """A Subset has the classes of what it is a part of, also those that do not occur in it."""
        whole = TensorDataset(torch.from_numpy(IMAGES), torch.from_numpy(LABELS))
        whole.classes = ["cat", "dog", "never"]  # type: ignore[attr-defined]
        part = Subset(whole, range(4))
        assert load((part, part)).class_names == ("cat", "dog", "never")

    def test_that_differ_between_the_splits(self) -> None:
        """A test set without one class would be numbered otherwise."""
        train, test = pair(torch.from_numpy(IMAGES), classes=["ant", "bee"])
        test.classes = ["bee"]  # type: ignore[attr-defined]
        with pytest.raises(DataError, match="different classes"):
            load((train, test))


class TestLayout:
    @pytest.mark.parametrize("shape", [(6, 8, 8, 3), (6, 28, 28, 1), (6, 20, 30, 4), (6, 5, 7, 3)])
    def test_shapes_that_speak_for_channels_last(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        """Asked for in files, Datasets and bundles alike; either answer is taken."""
        images = np.random.default_rng(0).random(shape).astype(np.float32)
        np.savez(tmp_path / "in.npz", x_train=images, y_train=LABELS, x_test=images, y_test=LABELS)
        loaders = (
            lambda **options: load(pair(torch.from_numpy(images)), **options),
            lambda **options: load(bundle(images), **options),
            lambda **options: load_data(DataConfig(name="npz", path=str(tmp_path / "in.npz"), options=options)),
        )
        for loader in loaders:
            for options in ({}, {"layout": None}):
                with pytest.raises(
                    DataError, match=r"set data\.options\.layout=NHWC if they come last, layout=NCHW if"
                ):
                    loader(**options)
            assert loader(layout="NCHW").input_shape == shape[1:]
            train = loader(layout="NHWC").train.inputs
            np.testing.assert_array_equal(train.numpy(), np.moveaxis(images, 3, 1))
            with pytest.raises(ConfigError, match=r"data\.options\.layout"):
                loader(layout="HWCN")

    @pytest.mark.parametrize(
        "shape", [(2, 3, 8, 8), (2, 1, 28, 28), (2, 3, 5, 3), (2, 64, 4, 4), (2, 9, 1, 1), (2, 4, 9, 3)]
    )
    def test_shapes_that_do_not(self, shape: tuple[int, ...]) -> None:
        """Channels first, narrow images, and feature maps of squares."""
        assert not speaks_for_channels_last(shape)
        assert as_inputs(np.zeros(shape), "images").shape == shape

    def test_prediction(self, tmp_path: Path) -> None:
        """The network's shape shows it; as set for the training, it is read so."""
        images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
        np.savez(tmp_path / "in.npz", images)
        with pytest.raises(DataError, match=r"resize or transpose them, or set data\.options\.layout=NHWC"):
            read_inputs(tmp_path / "in.npz", (3, 4, 6), trained_on=torch.uint8)
        found = read_inputs(tmp_path / "in.npz", (3, 4, 6), trained_on=torch.uint8, layout="NHWC")
        np.testing.assert_array_equal(found.inputs.numpy(), np.moveaxis(images, 3, 1))


class TestScaleOfPredictions:
    @pytest.mark.parametrize(
        ("trained", "images", "is_refused"),
        [
            ([0.0, 1.0], [0, 255], False),
            ([0.0, 1.0], [0.0, 1.02], False),
            ([0.0, 1.0], [0.0, 255.0], True),
            ([-2.1, 2.6], [0, 255], True),
            ([-2.1, 2.6], [-3.0, 3.0], False),
            ([0.0, 255.0], [0, 255], True),
            ([0.0, 255.0], [0.0, 200.0], False),
        ],
    )
    def test_images_on_another_scale(self, tmp_path: Path, trained: Any, images: Any, is_refused: bool) -> None:
        """Bytes become 0..1: to a network that learned from 0..255 or standardized values they mean nothing."""
        scale = Scale.of(torch.tensor(trained).view(1, 1, 1, 2))
        values = np.array(images, np.uint8 if isinstance(images[0], int) else np.float32).reshape(1, 1, 1, 2)
        np.savez(tmp_path / "in.npz", values)
        refused = pytest.raises(DataError, match="the training samples have floating-point values from")
        with refused if is_refused else nullcontext():
            read_inputs(tmp_path / "in.npz", (1, 1, 2), trained_on=torch.float32, scale=scale)

    def test_bytes_have_a_known_scale(self) -> None:
        """Nothing more is to be compared."""
        assert Scale.of(torch.zeros(1, 1, 1, 1, dtype=torch.uint8)) is None


def test_foreign_objects() -> None:
    """What says that it is an array is one; what does not is refused."""
    assert as_tensor(np.uint16([1, 65535]), "it").tolist() == [1, 65535]
    with pytest.raises(DataError, match="it: "):
        as_tensor(SimpleNamespace(shape=(1,)), "it")
