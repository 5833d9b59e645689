"""A folder of images that is read as it is needed, held against the reader that decodes all of it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from image_folders import load, write_folder
from image_makers import GREY_16, oriented
from PIL import Image

from smule_crypten.config.sections import DataConfig
from smule_crypten.data import lazy_samples
from smule_crypten.data.datasets import load_data
from smule_crypten.data.lazy_samples import LazySamples
from smule_crypten.data.samples import Samples
from smule_crypten.errors import DataError
from smule_crypten.party.states import digest_of
from smule_crypten.sources.image_files import ImageFiles
from smule_crypten.sources.lazy_inputs import LazyInputs

CPU = torch.device("cpu")
MEAN, STD = [0.48, 0.45, 0.4], [0.22, 0.23, 0.24]


@pytest.fixture(scope="session")
def eager(photographs: Path) -> Samples:
    return load(photographs, in_memory=True).train


@pytest.fixture(scope="session")
def lazy(photographs: Path) -> Samples:
    return load(photographs, in_memory=False).train


def test_what_is_read_is_what_all_at_once_would_be(eager: Samples, lazy: Samples) -> None:
    """Ids, labels, shape, type, and every byte, in any order; bytes stay bytes until they are normalized."""
    assert isinstance(lazy, LazySamples)
    assert not isinstance(eager, LazySamples)
    assert torch.equal(lazy.sample_ids, eager.sample_ids)
    assert torch.equal(lazy.targets, eager.targets)
    assert (lazy.shape, lazy.dtype) == (tuple(eager.inputs.shape), torch.uint8)
    order = torch.randperm(len(eager), generator=torch.Generator().manual_seed(1))
    assert torch.equal(lazy.read(order), eager.inputs[order])


def test_normalized_batches_are_the_same_to_the_bit(eager: Samples, lazy: Samples) -> None:
    """One way of normalizing, before or after a batch is chosen."""
    some = torch.tensor([40, 3, 3, 17])
    normal, plain = lazy.normalized(MEAN, STD), eager.normalized(MEAN, STD)
    assert torch.equal(normal.read(some), plain.inputs[some])
    assert torch.equal(torch.cat(list(normal.blocks(7))), plain.inputs)
    assert normal.dtype == torch.float32


def test_processes_that_read_ahead_change_nothing(photographs: Path, eager: Samples) -> None:
    """Each batch is read by one of them, and they come in the order that was asked for; nothing random is drawn."""
    before = torch.get_rng_state()
    ahead = load(photographs, in_memory=False, workers=2).train.normalized(MEAN, STD)
    batches = torch.split(torch.randperm(len(eager), generator=torch.Generator().manual_seed(2)), 5)
    plain = eager.normalized(MEAN, STD)
    for batch_BX, positions in zip(ahead.batches(batches), batches, strict=True):
        assert torch.equal(batch_BX, plain.inputs[positions])
    assert torch.equal(torch.get_rng_state(), before)


class GoneSource:
    """A Source whose reader is killed, as the system does where memory is short."""

    shape, dtype, fingerprint, workers = (8, 2), torch.uint8, "none", 1

    def read(self, positions_B: np.ndarray) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(len(positions_B), 2, dtype=torch.uint8)


def test_a_reader_that_is_killed_is_told_in_one_line() -> None:
    """Not by a traceback of PyTorch's."""
    gone = LazyInputs(GoneSource(), torch.arange(8))
    with pytest.raises(DataError, match=r"^a process that reads ahead has ended .*; lower data\.workers, or") as caught:
        list(gone.batches(torch.split(torch.arange(8), 4), CPU))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_gpu_sees_the_same_bits(photographs: Path, eager: Samples, workers: int) -> None:
    """Normalized there, from bytes that came through pinned memory, as on the CPU."""
    lazily = load(photographs, in_memory=False, workers=workers).train.normalized(MEAN, STD)
    read_NX = torch.cat(list(lazily.blocks(7, torch.device("cuda"))))
    assert read_NX.is_cuda
    assert torch.equal(read_NX.cpu(), eager.normalized(MEAN, STD).inputs)


def test_all_that_is_done_with_samples_is_done_with_these(eager: Samples, lazy: Samples) -> None:
    """Choosing, joining, asking by id and hiding labels, on what is not read yet as on what is."""
    chosen, others = torch.tensor([5, 2, 30]), torch.tensor([7, 8])
    for made, expected in (
        (lazy.select(chosen), eager.select(chosen)),
        (lazy.select(chosen).with_others(lazy.select(others)), eager.select(chosen).with_others(eager.select(others))),
        (lazy.select(chosen).with_others(eager.select(others)), eager.select(chosen).with_others(eager.select(others))),
        (lazy.of_ids(torch.tensor([9, 1])), eager.of_ids(torch.tensor([9, 1]))),
        (lazy.without_labels(), eager.without_labels()),
        (lazy.select(chosen).without_copies(), eager.select(chosen)),
    ):
        assert not made.is_in_memory
        held = made.in_memory()
        assert torch.equal(held.inputs, expected.inputs)
        assert torch.equal(held.targets, expected.targets)
        assert torch.equal(held.sample_ids, expected.sample_ids)
        assert torch.equal(made.read(torch.tensor([1, 0])), expected.inputs[torch.tensor([1, 0])])


def test_parts_of_one_folder_stay_one_source(lazy: Samples) -> None:
    """A party joins its parts again and again; a tree of sources would be read piece by piece."""
    normal = [lazy.select(torch.arange(start, start + 4)).normalized(MEAN, STD) for start in (0, 4)]
    together = normal[0].with_others(normal[1])
    assert isinstance(together, LazySamples)
    assert isinstance(together.lazy.source, ImageFiles)


def test_all_at_once_is_refused(lazy: Samples) -> None:
    """Whatever was not made for it would fill the memory without a word."""
    with pytest.raises(DataError, match=r"^the 48 inputs .* this needs all of them in memory; set data.in_memory=true"):
        _ = lazy.inputs


def test_size_decides_where_nothing_is_said(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 GB of a split as float32, by default; a note says that inputs are read as they are needed."""
    config = DataConfig(name="image_folder", path=str(photographs), options={"image_size": [12, 10]})
    assert load_data(config).train.is_in_memory
    monkeypatch.setattr(lazy_samples, "MOST_BYTES", 4 * 12 * 3 * 12 * 10)
    bundle = load_data(config)
    assert not bundle.train.is_in_memory
    assert bundle.test.is_in_memory
    assert "inputs are read as they are needed" in " ".join(bundle.notes)


def test_processes_for_inputs_in_memory_are_remarked_on(photographs: Path) -> None:
    """Where size decides, a key that then has no effect is no error, but said."""
    config = DataConfig(name="image_folder", path=str(photographs), workers=2, options={"image_size": [12, 10]})
    assert "data.workers has no effect: all inputs are in memory" in load_data(config).notes


def test_floating_point_images_and_turned_ones(tmp_path: Path) -> None:
    """Grey of 16 bits stays float32; an orientation tag turns an image, now as then."""
    for split in ("train", "test"):
        for number in range(2):
            path = tmp_path / "deep" / split / f"class{number}" / "0.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(GREY_16 + number).save(path)
            path = tmp_path / "turned" / split / f"class{number}" / "0.jpg"
            path.parent.mkdir(parents=True)
            oriented(path, np.arange(36, dtype=np.uint8).reshape(3, 12) * 7, 6)
    for name in ("deep", "turned"):
        held, lazily = (load(tmp_path / name, in_memory=way, options={"channels": 1}).train for way in (True, False))
        assert torch.equal(lazily.read(torch.arange(2)), held.inputs)
    assert held.dtype == torch.uint8


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_file_is_named_when_its_turn_comes(tmp_path: Path, workers: int) -> None:
    """In one line, also where another process has read it."""
    root = write_folder(tmp_path, 12, 3)
    train = load(root, in_memory=False, workers=workers).train
    path = root / "train" / "class0" / "003.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"^cannot decode .*003\.png .*replace or remove it$"):
        list(train.batches(torch.split(torch.arange(12), 3)))


def test_a_file_that_changes_in_a_run_is_refused(tmp_path: Path) -> None:
    """Each epoch reads it anew: a training would go on with other samples than it began with."""
    root = write_folder(tmp_path, 12, 3)
    train = load(root, in_memory=False).train
    path = root / "train" / "class1" / "001.png"
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match=r"001\.png was changed since the folder was listed"):
        train.read(torch.arange(12))


def test_another_depth_or_size_is_refused_when_it_is_read(tmp_path: Path) -> None:
    """The first file of a split says how all others have to be."""
    root = write_folder(tmp_path, 6, 3)
    train = load(root, in_memory=False).train
    Image.fromarray(GREY_16).save(root / "train" / "class0" / "003.png")
    with pytest.raises(DataError, match=r"003\.png has 16 bits, .*000\.jpg has 8 bits; convert them to one depth"):
        train.read(torch.arange(6))


def test_a_process_that_reads_ahead_is_killed(tmp_path: Path) -> None:
    """As by a system without memory: one line says what helps, whatever PyTorch comes upon."""
    blocks = load(write_folder(tmp_path, 40, 3), in_memory=False, workers=1).train.blocks(2)
    next(blocks)
    (reader,) = multiprocessing.active_children()
    reader.kill()
    with pytest.raises(DataError, match=r"a process that reads ahead has ended .*; lower data\.workers, or"):
        list(blocks)


def test_the_digest_follows_names_sizes_and_times(tmp_path: Path) -> None:
    """Reading a million files to compare a run with an earlier one takes hours; a changed file must be noticed."""
    root = write_folder(tmp_path, 12, 3)

    def digest(**settings: int) -> str:
        return digest_of(load(root, in_memory=False, **settings).train)

    first = digest()
    assert digest() == digest(workers=2) == first
    path = root / "train" / "class1" / "001.png"
    os.utime(path, ns=(1, 1))
    changed = digest()
    assert changed != first
    path.rename(path.with_name("002.png"))
    assert digest() not in (first, changed)


def test_a_copy_with_the_same_names_sizes_and_times_is_other_data(tmp_path: Path) -> None:
    """Uncompressed images of two data sets may have all of them in common."""
    root = write_folder(tmp_path / "one", 6, 3)
    copy = shutil.copytree(root, tmp_path / "other")
    assert len({digest_of(load(folder, in_memory=False).train) for folder in (root, copy)}) == 2


def test_a_batch_is_all_that_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 500 files, never more inputs than those of two batches: the one in use, and the one being read."""
    root = tmp_path / "many"
    for split, count in (("train", 500), ("test", 20)):
        for number in range(count):
            path = root / split / f"class{number % 2}" / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (number % 256, number // 2 % 256, 0)).save(path)
    alive = {"now": 0, "most": 0}
    plain = ImageFiles.read

    def read(files: ImageFiles, positions_B: np.ndarray) -> torch.Tensor:
        read_BX, count = plain(files, positions_B), len(positions_B)
        alive["now"] += count
        alive["most"] = max(alive["most"], alive["now"])
        weakref.finalize(read_BX, lambda: alive.update(now=alive["now"] - count))
        return read_BX

    monkeypatch.setattr(ImageFiles, "read", read)
    train = load(root, in_memory=False).train.normalized([0.5], [0.25])
    seen = sum(len(batch_BX) for batch_BX in train.blocks(32))
    assert seen == 500
    assert 32 <= alive["most"] <= 128  # 64 of each split are looked at when the folder is read
