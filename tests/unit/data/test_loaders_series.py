"""data=series: the .ts files of the UCR and UEA archives, and arrays, as (N, channels, time)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.files_ts import read_ts
from smule_crypten.data.loaders_series import load_series
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import ConfigError, DataError

UNIVARIATE = """\
#A comment, and a blank line

@problemName Tiny
@timeStamps false
@missing false
@univariate true
@equalLength true
@seriesLength 4
@classLabel true walk run
@data
1.5,-2,3e-1,4:run
0,0,0,1:walk
2,3,4,5:run
"""
MULTIVARIATE = """\
@problemname Tiny
@univariate false
@dimensions 2
@equallength false
@classlabel true 1 2
@data
1,2,3:4,5,6:2
7,8:9,10:1
"""


def write(folder: Path, train: str, test: str | None = None, name: str = "Tiny") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}_TRAIN.ts").write_text(train)
    (folder / f"{name}_TEST.ts").write_text(train if test is None else test)
    return folder


def load(path: Path, mean: tuple[float, ...] = (0.0,), **options: Any) -> DataBundle:
    return load_series(DataConfig(name="series", path=str(path), mean=mean, options=options))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as refused:
        load(path, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


class TestFiles:
    def test_one_channel(self, tmp_path: Path) -> None:
        """Values and labels are those that stand there; classes are numbered in the order of the header."""
        bundle = load(write(tmp_path, UNIVARIATE))
        expected = [[[1.5, -2, 0.3, 4]], [[0, 0, 0, 1]], [[2, 3, 4, 5]]]
        np.testing.assert_allclose(bundle.train.inputs.numpy(), expected, rtol=1e-6)
        assert bundle.train.inputs.dtype == torch.float32
        assert bundle.train.targets.tolist() == [1, 0, 1]
        assert bundle.class_names == bundle.public_class_names == ("walk", "run")
        assert bundle.notes == ()

    def test_several_channels_and_lengths(self, tmp_path: Path) -> None:
        """Shorter series are filled with data.mean, one value a channel: what the network sees there is 0."""
        bundle = load(write(tmp_path, MULTIVARIATE), mean=(0.5, -1.0), length=4)
        assert bundle.train.inputs.tolist() == [
            [[1, 2, 3, 0.5], [4, 5, 6, -1]],
            [[7, 8, 0.5, 0.5], [9, 10, -1, -1]],
        ]
        assert (bundle.train.normalized((0.5, -1.0), (2.0,)).inputs[1, :, 2:] == 0).all()
        assert bundle.notes[0] == "train: 2 of 2 series were filled to 4 time steps"
        assert bundle.train.targets.tolist() == [1, 0]

    def test_without_a_length_they_must_be_equal(self, tmp_path: Path) -> None:
        """Also where only the splits differ."""
        assert "2 to 3 time steps; set data.options.length=3 or more" in refusal(write(tmp_path, MULTIVARIATE))
        short, long = "1,2:walk\n", "1,2,3:walk\n"
        header = UNIVARIATE.replace("@seriesLength 4\n", "").partition("@data\n")[0] + "@data\n"
        assert "2 to 3 time steps" in refusal(write(tmp_path, header + short, header + long))
        assert "2 to 3 time steps" in refusal(write(tmp_path, header + long, header + short))
        assert "longest series has 3 time steps, data.options.length is 2" in refusal(tmp_path, length=2)

    def test_a_mean_for_other_channels(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"data\.mean: 3 values for series with 2 channel"):
            load(write(tmp_path, MULTIVARIATE), mean=(0.0, 1.0, 2.0), length=3)

    def test_gaps(self, tmp_path: Path) -> None:
        """Missing values are refused, or interpolated as NumPy does it, in each channel by itself."""
        text = MULTIVARIATE.replace("1,2,3:4,5,6", "?,2,NaN,8,?:4,nan,6,7,8").replace("7,8:9,10", "1,2,3,4,5:1,2,3,4,5")
        folder = write(tmp_path, text)
        assert "sample 0 lacks values, the first of 1 such samples; set data.options.missing" in refusal(folder)
        bundle = load(folder, missing="interpolate")
        assert bundle.train.inputs[0].tolist() == [[2, 2, 5, 8, 8], [4, 5, 6, 7, 8]]
        assert bundle.notes[0] == "train: 1 of 2 series lacked values, which were interpolated"
        folder = write(tmp_path, MULTIVARIATE.replace("1,2,3:", "?,?,?:"))
        assert "sample 0 has a channel without any value" in refusal(folder, missing="interpolate", length=3)

    def test_targets_of_a_regression(self, tmp_path: Path) -> None:
        text = UNIVARIATE.replace("@classLabel true walk run", "@targetLabel true")
        for label, number in (("run", "2.5"), ("walk", "-1")):
            text = text.replace(f":{label}", f":{number}")
        bundle = load(write(tmp_path, text), class_names=["pressure"])
        assert bundle.train.targets.tolist() == [[2.5], [-1], [2.5]]
        assert bundle.class_names == ("pressure",)
        assert "a target is no number" in refusal(write(tmp_path, text.replace(":-1", ":many")))

    def test_class_names_of_the_options(self, tmp_path: Path) -> None:
        """They may be in another order than in the file, and more."""
        bundle = load(write(tmp_path, UNIVARIATE), class_names=["run", "stand", "walk"])
        assert bundle.train.targets.tolist() == [0, 2, 0]
        unknown = refusal(tmp_path, class_names=["run", "stand"])
        assert "label 'walk' of sample 1 is none of the 2 classes" in unknown

    def test_the_header_of_the_training_file_counts(self, tmp_path: Path) -> None:
        other = UNIVARIATE.replace("true walk run", "true run walk")
        bundle = load(write(tmp_path, UNIVARIATE, other))
        assert bundle.test.targets.tolist() == bundle.train.targets.tolist() == [1, 0, 1]

    def test_which_files(self, tmp_path: Path) -> None:
        """A folder with one pair, one of several pairs, or either file of it."""
        write(tmp_path, UNIVARIATE)
        for name in ("", "Tiny", "Tiny_TRAIN.ts", "Tiny_TEST.ts"):
            assert len(load(tmp_path / name).train) == 3
        write(tmp_path, UNIVARIATE, name="Tiny_eq")
        assert "holds several pairs of files (Tiny, Tiny_eq); set data.path to one of them" in refusal(tmp_path)
        assert len(load(tmp_path / "Tiny_eq").train) == 3
        (tmp_path / "Tiny_TEST.ts").unlink()
        assert "misses Tiny_TEST.ts" in refusal(tmp_path / "Tiny")
        (tmp_path / "empty").mkdir()
        assert "holds no file *_TRAIN.ts" in refusal(tmp_path / "empty")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("1.5,-2,3e-1,4:run", "1.5,-2,3e-1,4,5:run", "line 11 has 5 time steps, the header says 4"),
            ("0,0,0,1:walk", "0,0,0,1:0,0,0,1:walk", "line 12 has 2 channels in place of 1"),
            ("0,0,0,1:walk", "0,0,0,1", "line 12 has no : before its label"),
            ("0,0,0,1:walk", "0,0,zero,1:walk", "line 12 holds what is no number"),
            ("0,0,0,1:walk", "0,0,,1:walk", "line 12 holds what is no number"),
            ("0,0,0,1:walk", "0,0,0,1:", "label '' of sample 1 is none of the 2 classes"),
            ("0,0,0,1:walk", "0,0,0,inf:walk", "sample 1 holds NaN or infinite values"),
            ("@data\n", "", "line 10 stands before @data, and does not begin with @"),
            ("@timeStamps false", "@timeStamps True", "has time stamps"),
            ("@classLabel true walk run", "@classLabel false", "neither @classLabel true nor @targetLabel true"),
            ("1.5,-2,3e-1,4:run\n0,0,0,1:walk\n2,3,4,5:run\n", "", "holds no series after @data"),
        ],
    )
    def test_damaged_files(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        """One line names the file, the line in it and what is wrong; no values are shown."""
        folder = write(tmp_path, UNIVARIATE.replace(old, new))
        with pytest.raises(DataError) as refused:
            load_data(DataConfig(name="series", path=str(folder)))
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_channels_of_different_length(self, tmp_path: Path) -> None:
        folder = write(tmp_path, MULTIVARIATE.replace("4,5,6", "4,5"))
        assert "line 7 has channels of 2 and of 3 time steps" in refusal(folder)

    def test_splits_with_different_channels(self, tmp_path: Path) -> None:
        folder = write(tmp_path, MULTIVARIATE, UNIVARIATE.replace("run", "1").replace("walk", "2"))
        assert "have 2 and 1 channels" in refusal(folder, length=4)

    def test_what_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "in.ts").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match="it is no text in UTF-8"):
            read_ts(tmp_path / "in.ts")
        with pytest.raises(DataError, match="cannot read"):
            read_ts(tmp_path)


class TestArrays:
    def save(self, folder: Path, series: Any, labels: Any) -> Path:
        path = folder / "series.npz"
        np.savez(path, x_train=series, y_train=labels, x_test=series, y_test=labels)
        return path

    def test_one_and_several_channels(self, tmp_path: Path) -> None:
        """(N, time) are series of one channel, where data=npz has vectors."""
        series = np.random.default_rng(0).normal(size=(4, 6))
        labels = np.array([0, 1, 1, 0])
        flat = load(self.save(tmp_path, series, labels))
        np.testing.assert_array_equal(flat.train.inputs.numpy(), series.astype(np.float32)[:, None])
        assert flat.class_names == ("0", "1")
        deep = load(self.save(tmp_path, series.reshape(4, 2, 3), labels), class_names=["no", "yes"])
        np.testing.assert_array_equal(deep.test.inputs.numpy(), series.astype(np.float32).reshape(4, 2, 3))
        assert deep.class_names == ("no", "yes")

    def test_unusable_arrays(self, tmp_path: Path) -> None:
        labels = np.array([0, 1])
        assert "save (N, channels, time), or (N, time)" in refusal(self.save(tmp_path, np.zeros((2, 1, 2, 2)), labels))
        assert "x_train has type int64" in refusal(self.save(tmp_path, np.zeros((2, 3), int), labels))
        assert "3 series in x_train, 2 targets" in refusal(self.save(tmp_path, np.zeros((3, 3)), labels))
        gaps = np.array([[1, np.nan, 3], [1, 2, 3]])
        assert "sample 0 lacks values" in refusal(self.save(tmp_path, gaps, labels))
        assert load(self.save(tmp_path, gaps, labels), missing="interpolate").train.inputs[0].tolist() == [[1, 2, 3]]
