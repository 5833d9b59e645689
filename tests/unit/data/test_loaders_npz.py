from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.loaders_npz import load_npz
from smule_crypten.errors import ConfigError, DataError


class TestNpz:
    @pytest.fixture
    def arrays(self) -> dict[str, Any]:
        images = np.arange(4 * 3 * 2 * 2, dtype=np.uint8).reshape(4, 3, 2, 2)
        return {
            "x_train": images,
            "y_train": np.array([0, 1, 0, 1]),
            "x_test": images,
            "y_test": np.array([1, 1, 0, 0]),
        }

    def load(self, folder: Path, arrays: dict[str, Any], **options: Any) -> Any:
        path = folder / "data.npz"
        np.savez_compressed(path, **arrays)
        return load_npz(DataConfig(name="npz", path=str(path), options=options))

    def test_reads_bytes(self, tmp_path: Path, arrays: dict[str, Any]) -> None:
        """Bytes stay bytes and keep their order."""
        bundle = self.load(tmp_path, arrays)
        assert torch.equal(bundle.train.inputs, torch.from_numpy(arrays["x_train"]))
        assert bundle.test.targets.tolist() == [1, 1, 0, 0]
        assert bundle.num_classes == 2

    def test_channels_last_layout(self, tmp_path: Path, arrays: dict[str, Any]) -> None:
        """layout=NHWC gives the same images as their channels-first form."""
        expected = arrays["x_train"]
        for split in ("train", "test"):
            arrays[f"x_{split}"] = np.moveaxis(arrays[f"x_{split}"], 1, 3)
        bundle = self.load(tmp_path, arrays, layout="NHWC")
        assert torch.equal(bundle.train.inputs, torch.from_numpy(expected))

    @pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f8"])
    def test_floats_become_float32(self, tmp_path: Path, arrays: dict[str, Any], dtype: Any) -> None:
        """Any floating point type is taken as it is, in single precision."""
        arrays["x_train"] = arrays["x_train"].astype(dtype)
        inputs_NX = self.load(tmp_path, arrays).train.inputs
        assert inputs_NX.dtype == torch.float32
        assert inputs_NX.flatten().tolist() == list(range(48))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"x_train": np.zeros((4, 3, 2, 2), np.int64)}, "x_train has type int64"),
            ({"y_test": np.zeros(4)}, "y of train is one class number a sample, y of test 1 label"),
            ({"y_train": np.array([{}, {}, {}, {}])}, "without pickles"),
            ({"y_train": np.zeros(0, int)}, "split 'train': empty"),
            ({"y_train": np.array([0, 1, 2, 2**40])}, r"label 1099511627776 among 4 samples"),
        ],
    )
    def test_wrong_arrays_are_refused(
        self, tmp_path: Path, arrays: dict[str, Any], changes: dict[str, Any], message: str
    ) -> None:
        """Each wrong array is named; pickles are never executed."""
        with pytest.raises(DataError, match=message):
            self.load(tmp_path, arrays | changes)

    @pytest.mark.parametrize(
        "options",
        [
            {"class_names": []},
            {"class_names": ["ant", "ant"]},
            {"class_names": ["ant", ""]},
            {"class_names": ["ant", "bee"], "num_classes": 3},
        ],
    )
    def test_unusable_class_names_are_refused(
        self, tmp_path: Path, arrays: dict[str, Any], options: dict[str, Any]
    ) -> None:
        """Names that leave open which class is meant, or how many there are, would be no agreement."""
        np.savez(tmp_path / "data.npz", **arrays)
        with pytest.raises(ConfigError, match=r"data\.options: .*class_names"):
            load_npz(DataConfig(name="npz", path=str(tmp_path / "data.npz"), options=options))

    def test_missing_array_is_named(self, tmp_path: Path, arrays: dict[str, Any]) -> None:
        """The four names are fixed."""
        del arrays["x_test"]
        with pytest.raises(DataError, match="misses an array: x_test"):
            self.load(tmp_path, arrays)

    def test_damaged_or_foreign_file_is_refused(self, tmp_path: Path, arrays: dict[str, Any]) -> None:
        """No file, text, a single array, a cut archive and a flipped byte all give a DataError."""
        path = tmp_path / "data.npz"
        config = DataConfig(name="npz", path=str(path))
        self.load(tmp_path, arrays)
        content = path.read_bytes()
        np.save(tmp_path / "single.npy", arrays["x_train"])
        damaged = bytearray(content)
        damaged[80] ^= 0xFF
        for wrong in (b"", b"text", (tmp_path / "single.npy").read_bytes(), content[:-30], bytes(damaged)):
            path.write_bytes(wrong)
            with pytest.raises(DataError, match=r"cannot read .*data\.npz"):
                load_npz(config)
        path.unlink()
        with pytest.raises(DataError, match=r"cannot read .*data\.npz"):
            load_npz(config)

    @pytest.mark.parametrize(
        "options",
        [{"layout": "HWCN"}, {"num_classes": 1}, {"class_names": 3}],
    )
    def test_wrong_options_are_refused(self, tmp_path: Path, arrays: dict[str, Any], options: dict[str, Any]) -> None:
        """Options outside their range are named with the value given."""
        with pytest.raises(ConfigError, match=rf"data\.options\.{next(iter(options))}: "):
            self.load(tmp_path, arrays, **options)

    def test_vectors_and_series(self, tmp_path: Path, arrays: dict[str, Any]) -> None:
        """Inputs of every rank keep their shape and values."""
        for shape in ((4, 5), (4, 2, 7)):
            inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            bundle = self.load(tmp_path, arrays | {"x_train": inputs, "x_test": inputs[:, ..., ::-1].copy()})
            assert torch.equal(bundle.train.inputs, torch.from_numpy(inputs))
            np.testing.assert_array_equal(bundle.test.inputs.numpy(), inputs[..., ::-1])

    @pytest.mark.parametrize("kind", [np.int8, np.int64, np.bool_, np.uint8])
    def test_several_labels(self, tmp_path: Path, arrays: dict[str, Any], kind: Any) -> None:
        """Whole numbers of two axes are labels of 0 and 1, in single precision; they can be named."""
        labels = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=kind)
        changed = arrays | {"y_train": labels, "y_test": labels[::-1]}
        bundle = self.load(tmp_path, changed, class_names=["a", "b", "c"])
        assert bundle.train.targets.dtype == torch.float32
        assert bundle.train.targets.tolist() == labels.astype(float).tolist()
        assert bundle.test.targets.tolist() == labels[::-1].astype(float).tolist()
        assert bundle.class_names == ("a", "b", "c")
        assert self.load(tmp_path, changed).class_names == ("0", "1", "2")

    @pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2)])
    def test_regression_targets(self, tmp_path: Path, arrays: dict[str, Any], shape: tuple[int, ...]) -> None:
        """Floating-point numbers are targets in their own units, of two axes."""
        values = np.random.default_rng(1).normal(50, 20, size=shape)
        bundle = self.load(tmp_path, arrays | {"y_train": values, "y_test": values})
        np.testing.assert_allclose(bundle.train.targets.numpy(), values.reshape(4, -1), rtol=1e-6)
        assert bundle.num_classes == (shape[1] if len(shape) > 1 else 1)

    @pytest.mark.parametrize(
        ("changes", "options", "message"),
        [
            ({"y_train": np.array([[0, 1], [0, 2], [1, 1], [0, 0]])}, {}, "but sample 1 has another one"),
            ({"y_train": np.array([0.5, np.nan, 1, 2])}, {}, "sample 1 has a target that is NaN"),
            ({"y_train": np.array([0.5, 1, 1, np.inf])}, {}, "sample 3 has a target that is NaN or infinite"),
            ({"y_train": np.zeros((4, 2))}, {}, "y of train is 2 label"),
            (
                {"y_train": np.zeros((4, 2)), "y_test": np.zeros((4, 2))},
                {"class_names": ["a", "b", "c"]},
                "each sample has 2 labels or targets, data.options.class_names names 3",
            ),
        ],
    )
    def test_unusable_targets(
        self, tmp_path: Path, arrays: dict[str, Any], changes: dict[str, Any], options: dict[str, Any], message: str
    ) -> None:
        """One line says which array and which sample."""
        with pytest.raises(DataError, match=message):
            self.load(tmp_path, arrays | changes, **options)

    def test_num_classes_of_several_labels(self, tmp_path: Path, arrays: dict[str, Any]) -> None:
        """An option without effect is refused."""
        labels = np.zeros((4, 2), int)
        with pytest.raises(ConfigError, match="num_classes: has no effect"):
            self.load(tmp_path, arrays | {"y_train": labels, "y_test": labels}, num_classes=2)
