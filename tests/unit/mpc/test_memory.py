"""Memory that was freed serves again: the reason for mpc/memory.py, and where it does nothing."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from smule_crypten.mpc.memory import keep_freed_memory
from smule_crypten.mpc.packing import packed_bytes, unpack

COUNT, WIDTH, CALLS = 1 << 18, 18, 8


def faults() -> int:
    """Pages that the system has given to this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_a_message_costs_no_new_page() -> None:
    """A layer's message is unpacked into what was freed before; by default each call takes some thousand pages anew."""
    assert keep_freed_memory()
    data = torch.zeros(packed_bytes(COUNT, WIDTH), dtype=torch.uint8)
    found = []
    for _ in range(4):
        before = faults()
        for _ in range(CALLS):
            unpack(data, COUNT, WIDTH)
        found.append((faults() - before) / CALLS)
    assert min(found[1:]) < 100


def test_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without glibc nothing is called."""
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.delattr("ctypes.CDLL")
    assert not keep_freed_memory()
