"""Folders of .npy files and tables, mapped, held against what is read at once."""

from __future__ import annotations

import os
import pickle
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smule_crypten.config.sections import DataConfig
from smule_crypten.data import lazy_samples
from smule_crypten.data.datasets import load_data
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.features.cache import content_digest
from smule_crypten.party.states import digest_of
from smule_crypten.tables import source as table_source
from smule_crypten.tables.row_store import RowStore

POSITIONS = torch.tensor([7, 0, 3, 3])


def write_arrays(folder: Path, inputs: np.ndarray, test: int = 4) -> Path:
    """x_train.npy and the three others; two classes."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(len(inputs)) % 2
    for name, values in {
        "x_train": inputs[:-test],
        "y_train": labels[:-test],
        "x_test": inputs[-test:],
        "y_test": labels[-test:],
    }.items():
        np.save(folder / f"{name}.npy", values)
    return folder


def load(name: str, path: Path, *, in_memory: bool | None, **settings: Any) -> DataBundle:
    return load_data(DataConfig(name=name, path=str(path), in_memory=in_memory, **settings))


@pytest.mark.parametrize(
    ("dtype", "shape", "options"),
    [
        (np.uint8, (3, 6, 5), {}),
        (np.uint8, (6, 5, 3), {"layout": "NHWC"}),
        (np.float32, (4,), {}),
        (">f8", (2, 9), {}),
    ],
)
def test_a_folder_of_arrays_is_an_archive_that_need_not_be_read(
    tmp_path: Path, dtype: Any, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    """Same samples from an .npz file, from .npy files at once, and from mapped ones, whatever their type and order."""
    draws = np.random.default_rng(3).integers(0, 255, (16, *shape)).astype(dtype)
    folder = write_arrays(tmp_path / "arrays", draws)
    arrays = {path.stem: np.load(path) for path in folder.iterdir()}
    np.savez(tmp_path / "archive.npz", **arrays)
    archive = load("npz", tmp_path / "archive.npz", in_memory=None, options=options)
    at_once = load("npz", folder, in_memory=None, options=options)
    mapped = load("npz", folder, in_memory=False, options=options)
    assert at_once.train.is_in_memory
    assert not mapped.train.is_in_memory
    for split in ("train", "test"):
        expected = getattr(archive, split)
        assert torch.equal(getattr(at_once, split).inputs, expected.inputs)
        assert torch.equal(getattr(mapped, split).in_memory().inputs, expected.inputs)
        assert torch.equal(getattr(mapped, split).targets, expected.targets)
    assert mapped.train.shape == tuple(archive.train.inputs.shape)
    assert torch.equal(mapped.train.read(POSITIONS), archive.train.inputs[POSITIONS])


def test_an_archive_cannot_be_mapped(tmp_path: Path) -> None:
    """A zip archive has no place on disk that is an array."""
    with pytest.raises(ConfigError, match=r"data\.in_memory=false: .*archive, which cannot be mapped; save each"):
        load("npz", tmp_path / "archive.npz", in_memory=False)


def test_what_is_not_finite_is_found_when_it_is_read(tmp_path: Path) -> None:
    """In memory it is found at once; here it must not be learned from either."""
    draws = np.zeros((80, 3), np.float32)
    draws[:, 0] = np.arange(80)
    draws[70, 1] = np.nan
    with pytest.raises(DataError, match=r"^input 70, counted from 0 in its file or folder, holds NaN or infinite"):
        list(load("npz", write_arrays(tmp_path, draws), in_memory=False).train.blocks(16))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot read .*x_train\.npy \(no such file\)"),
        (b"none", r"cannot read .*x_train\.npy "),
        (b"\x93NUMPY\x01\x00", r"cannot read .*x_train\.npy "),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    """One line, with the file."""
    folder = write_arrays(tmp_path, np.zeros((8, 3), np.float32))
    path = folder / "x_train.npy"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load("npz", folder, in_memory=False)
    assert len(str(caught.value).splitlines()) == 1


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    """An array of objects runs the code of whoever has written it."""
    folder = write_arrays(tmp_path, np.zeros((8, 3), np.float32))
    np.save(folder / "x_train.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"cannot read .*x_train\.npy"):
        load("npz", folder, in_memory=False)


def test_a_changed_file_is_another_data_set(tmp_path: Path) -> None:
    """Its name, size and time stand for what it holds."""
    draws = np.arange(48, dtype=np.float32).reshape(16, 3)
    first = digest_of(load("npz", write_arrays(tmp_path, draws), in_memory=False).train)
    assert digest_of(load("npz", tmp_path, in_memory=False).train) == first
    write_arrays(tmp_path, draws + 1)
    assert digest_of(load("npz", tmp_path, in_memory=False).train) != first


def test_other_data_with_files_of_the_same_names_sizes_and_times(tmp_path: Path) -> None:
    """As two archives that were unpacked leave them: features of the one must not be taken for those of the other."""
    bundles = []
    for name, fill in (("one", 1), ("other", 2)):
        folder = write_arrays(tmp_path / name, np.full((16, 3), fill, np.uint8))
        os.utime(folder / "x_train.npy", (1, 1))
        bundles.append(load("npz", folder, in_memory=False))
    assert len({content_digest(bundle.train.source) for bundle in bundles}) == 2


@pytest.mark.parametrize("size", [40, 100], ids=["rewritten", "cut"])
def test_a_file_that_changes_while_it_is_mapped_is_refused(tmp_path: Path, size: int) -> None:
    """Rows would be others from then on, and reading beyond the end of a file ends a process by a signal."""
    folder = write_arrays(tmp_path, np.arange(48, dtype=np.float32).reshape(16, 3))
    train = load("npz", folder, in_memory=False).train
    with (folder / "x_train.npy").open("r+b") as file:
        file.truncate(size)
    with pytest.raises(DataError, match=r"x_train\.npy was changed since it was mapped; leave it alone"):
        train.read(POSITIONS)


def test_another_process_maps_the_file_itself(tmp_path: Path) -> None:
    """Processes of a party hand each other the path: a pickled map would be a copy of all of it in memory."""
    draws = np.random.default_rng(3).integers(0, 255, (4000, 30)).astype(np.uint8)
    folder = write_arrays(tmp_path, draws)
    train = load("npz", folder, in_memory=False).train.select(torch.arange(9))
    handed = pickle.dumps(train)
    assert len(handed) < draws.nbytes / 10
    assert torch.equal(pickle.loads(handed).in_memory().inputs, torch.from_numpy(draws[:9]))
    write_arrays(tmp_path, draws[1:])
    with pytest.raises(DataError, match=r"x_train\.npy was changed since it was mapped"):
        pickle.loads(handed)


def test_a_file_without_a_name_is_not_handed_on(tmp_path: Path) -> None:
    """Of a table; it would be copied into the memory of every process."""
    path = tmp_path / "rows.csv"
    path.write_text("x,y\n" + "".join(f"{number},{number % 2}\n" for number in range(40)))
    with pytest.raises(ConfigError, match=r"compute\.devices: .* temporary file, .*; set data\.in_memory=true or"):
        pickle.dumps(load("table", path, in_memory=False, target="y").train)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_beyond_memory_is_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Read in chunks of rows, here of 7, into a temporary file; some rows are in memory before the limit is reached."""
    pandas = pytest.importorskip("pandas")
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    draws = np.random.default_rng(5)
    frame = pandas.DataFrame({"x": draws.normal(size=60), "kind": draws.choice(["u", "v"], 60)})
    frame["y"] = np.where(frame["x"] > 0, "yes", "no")
    path = tmp_path / f"rows.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, row_group_size=9)
    monkeypatch.setattr(table_source, "CHUNK_ROWS", 7)
    held = load("table", path, in_memory=None, target="y")
    width = held.input_shape[0]
    monkeypatch.setattr(lazy_samples, "MOST_BYTES", 4 * width * 20)
    mapped = load("table", path, in_memory=None, target="y")
    from_the_start = load("table", path, in_memory=False, target="y")
    forced = load("table", path, in_memory=True, target="y")
    assert forced.train.is_in_memory
    for split in ("train", "test"):
        expected = getattr(held, split)
        for bundle in (mapped, from_the_start, forced):
            part = getattr(bundle, split)
            assert torch.equal(part.in_memory().inputs, expected.inputs)
            assert torch.equal(part.targets, expected.targets)
            assert torch.equal(part.sample_ids, expected.sample_ids)
    assert not mapped.train.is_in_memory
    assert digest_of(mapped.train) == digest_of(from_the_start.train)


def test_a_table_without_room_on_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folder, and how to choose another one."""
    path = tmp_path / "rows.csv"
    path.write_text("x,y\n" + "".join(f"{number},{number % 2}\n" for number in range(40)))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"find no room in .*gone .*; set TMPDIR to a folder of a larger disk"):
        load("table", path, in_memory=False, target="y")


def test_a_full_disk_is_found_at_the_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows wait in a buffer of Python's: they may have no room either."""
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(Path("/dev/full").open, "w+b"))
    with pytest.raises(DataError, match=r"find no room in .* \(No space left on device\); set TMPDIR"):
        RowStore(2, 0).add(np.zeros((3, 2), np.float32))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "digits", "in_memory": False}, r"data\.in_memory=false: data set 'digits' is always held in memory"),
        ({"name": "digits", "workers": 2}, r"data\.workers: has no effect with data set 'digits'"),
        (
            {"name": "image_folder", "in_memory": True, "workers": 2},
            r"data\.workers: has no effect with data\.in_memory=true",
        ),
    ],
)
def test_keys_without_effect_are_refused(settings: dict[str, Any], message: str) -> None:
    """An option that cannot take effect is an error."""
    with pytest.raises(ConfigError, match=message):
        load_data(DataConfig(**settings))
