"""Memory that was freed serves again: the reason for mpc/memory.py, and where it does nothing."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from smule_crypten.mpc.memory import keep_freed_memory

PAGES = 2048
"""Of a tensor of 8 MB."""


def faults() -> int:
    """Pages that the system gave to this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_the_next_tensor_costs_no_page() -> None:
    """After the first one, tensors of some megabytes are made of what was freed."""
    assert keep_freed_memory()
    torch.ones(PAGES * 512, dtype=torch.int64)
    before = faults()
    for _ in range(8):
        torch.ones(PAGES * 512, dtype=torch.int64)
    assert faults() - before < PAGES


def test_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without glibc nothing is called."""
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.delattr("ctypes.CDLL")
    assert not keep_freed_memory()
