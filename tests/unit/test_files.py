from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from smule_crypten.files import write_atomic


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    try:
        yield request.param
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_for_its_owner_alone(umask: int, tmp_path: Path) -> None:
    """Networks, answers, states and ledgers, whatever the system gives new files, and whatever stood there before."""
    path = tmp_path / "state.pt"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_atomic(path, lambda file: file.write(b"new"))
    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o600)


def test_what_is_meant_to_be_shown_follows_the_system(umask: int, tmp_path: Path) -> None:
    """A report gets the mode that any new file gets."""
    write_atomic(tmp_path / "report.html", lambda file: file.write(b"x"), public=True)
    (tmp_path / "ordinary").write_bytes(b"x")
    assert mode_of(tmp_path / "report.html") == mode_of(tmp_path / "ordinary") == 0o666 & ~umask
