from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from smule_crypten.images.packed_paths import PackedPaths

NAMES = ["/data/set/a/1.png", "/data/set/ä.png", "/data/set/b/\udcff.png", "/data/set/b/\n2.png"]


def test_paths_come_out_as_they_went_in() -> None:
    """Bytes that are no UTF-8, line ends and umlauts included."""
    packed = PackedPaths("/data/set", NAMES)
    assert list(packed) == [Path(name) for name in NAMES]
    assert packed[-1] == Path(NAMES[-1])
    assert packed[1:3] == [Path(name) for name in NAMES[1:3]]
    assert packed.name(0) == "/a/1.png"


def test_some_of_them_in_another_order() -> None:
    """As a limit or a table of labels chooses; all of them are the same object."""
    packed = PackedPaths("/data/set", NAMES)
    assert list(packed.chosen(np.array([3, 0]))) == [Path(NAMES[3]), Path(NAMES[0])]
    assert packed.chosen(np.arange(4)) is packed


def test_names_that_differ_in_where_they_end_are_told_apart() -> None:
    """The digest of a folder is made of the packed names."""
    assert PackedPaths("/d", ["/d/ab", "/d/c"]).packed_names != PackedPaths("/d", ["/d/a", "/d/bc"]).packed_names
    assert PackedPaths("/d", []).packed_names == b""
    assert os.fsdecode(PackedPaths("/d", ["/d/x"]).packed_names) == "/x\0"
