"""Memory that was freed serves again: the reason for mpc/memory.py, and where it does nothing."""

from __future__ import annotations

import platform
import resource
from pathlib import Path

import pytest
import torch

from smule_crypten.mpc.memory import freed_memory_kept
from smule_crypten.mpc.packing import packed_bytes, unpack

COUNT, WIDTH, CALLS = 1 << 18, 18, 8
SIZE_FREED = 8 * (8 << 20)
PAGES = Path("/proc/self/statm")


def faults() -> int:
    """Pages that the system has given to this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident_bytes() -> int:
    return int(PAGES.read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_a_message_costs_no_new_page() -> None:
    """A layer's message is unpacked into what was freed before; by default each call takes some thousand pages anew."""
    with freed_memory_kept() as is_kept:
        assert is_kept
        data = torch.zeros(packed_bytes(COUNT, WIDTH), dtype=torch.uint8)
        found = []
        for _ in range(4):
            before = faults()
            for _ in range(CALLS):
                unpack(data, COUNT, WIDTH)
            found.append((faults() - before) / CALLS)
    assert min(found[1:]) < 100


@pytest.mark.skipif(not PAGES.exists(), reason="the system does not say how much memory a process has")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_freed_memory_goes_back_in_the_end() -> None:
    """Also what lies between allocations that live on, which no threshold bounds."""
    with freed_memory_kept():
        pass  # what earlier tests freed is gone, too
    before = resident_bytes()
    with freed_memory_kept():
        freed, alive = [], []
        for _ in range(8):
            freed.append(torch.ones(2 << 20))
            alive.append(torch.ones(1000))
        freed.clear()
        assert resident_bytes() - before > SIZE_FREED // 2
    assert resident_bytes() - before < SIZE_FREED // 4
    assert len(alive) == 8


def test_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without glibc nothing is called."""
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.delattr("ctypes.CDLL")
    with freed_memory_kept() as is_kept:
        assert not is_kept
