from __future__ import annotations

import logging
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from smule_crypten.config.features import DEFAULT_CACHE
from smule_crypten.errors import DataError, OutputError
from smule_crypten.features.cache import FeatureCache, content_digest

FEATURES = torch.arange(6.0).view(2, 3)


class Counting:
    """Gives the features, and counts how often it was asked."""

    calls = 0

    def __call__(self) -> torch.Tensor:
        self.calls += 1
        return FEATURES.clone()


def test_a_second_run_does_not_compute_again(tmp_path: Path) -> None:
    """Of the same parts in the same order alone; in another process of the same user, too."""
    compute = Counting()
    for _ in range(2):
        assert torch.equal(FeatureCache(str(tmp_path / "cache")).get(compute, "map", "inputs"), FEATURES)
    assert compute.calls == 1
    for parts in (("map", "others"), ("inputs", "map"), ("map", "inputs", "copy=1")):
        FeatureCache(str(tmp_path / "cache")).get(compute, *parts)
    assert compute.calls == 4
    code = (
        "from smule_crypten.features.cache import FeatureCache as C\n"
        f"print(C({str(tmp_path / 'cache')!r}).get(lambda: 1 / 0, 'map', 'inputs').tolist())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == str(FEATURES.tolist())


def test_without_a_folder_nothing_is_kept() -> None:
    compute = Counting()
    for _ in range(2):
        FeatureCache(None).get(compute, "map", "inputs")
    assert compute.calls == 2


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Features are as private as the samples."""
    folder = tmp_path / "deep" / "cache"
    FeatureCache(str(folder)).get(Counting(), "map")
    (file,) = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)


@pytest.mark.parametrize("mode", [0o750, 0o707])
def test_a_folder_of_many_is_refused(tmp_path: Path, mode: int) -> None:
    """Others could read features there, or plant some."""
    tmp_path.chmod(mode)
    with pytest.raises(DataError, match=r"^features\.cache: others may look into .*; run chmod 700"):
        FeatureCache(str(tmp_path)).get(Counting(), "map")


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other type"])
def test_a_damaged_file_is_computed_anew(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """Never trusted, never in the way: the log says so, and the next run finds it mended."""
    tmp_path.chmod(0o700)
    compute, cache = Counting(), FeatureCache(str(tmp_path))
    cache.get(compute, "map")
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "other type":
        other = FeatureCache(str(tmp_path))
        other.get(lambda: FEATURES.long(), "of another program")
        (path,) = set(tmp_path.iterdir()) - {file}
        content = bytearray(path.read_bytes())
    if damage == "changed":
        content[content.index(FEATURES.numpy().tobytes()) + 5] ^= 1
    file.write_bytes({"cut": content[: len(content) // 2], "empty": b""}.get(damage, content))
    with caplog.at_level(logging.WARNING):
        assert torch.equal(cache.get(compute, "map"), FEATURES)
    assert "is damaged" in caplog.text
    cache.get(compute, "map")
    assert compute.calls == 2


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"^features\.cache: cannot make the folder .*; name another one, or set"):
        FeatureCache(str(tmp_path / "file" / "cache")).get(Counting(), "map")


def test_the_default_lies_where_caches_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In XDG_CACHE_HOME where that is set, else below the home folder; a folder that was named stays."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    FeatureCache(DEFAULT_CACHE).get(Counting(), "map")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    FeatureCache(DEFAULT_CACHE).get(Counting(), "map")
    FeatureCache(str(tmp_path / "named")).get(Counting(), "map")
    found = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*.npz")}
    assert found == {"home/.cache/smule_crypten", "caches/smule_crypten", "named"}


def test_content_is_told_apart() -> None:
    """By values, type and shape, not by how a tensor lies in memory."""
    square = torch.arange(4.0).view(2, 2)
    others = (square, square.T, square.flatten(), square.double(), square.int())
    assert len({content_digest(tensor) for tensor in others}) == 5
    assert content_digest(square.T) == content_digest(square.T.contiguous())
