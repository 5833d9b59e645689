"""Where a run took place: versions and hardware, for the record."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import torch

_PACKAGES = ("smule-crypten", "torch", "torchvision", "crypten", "numpy", "hydra-core", "cryptography")


def describe_versions() -> dict[str, str]:
    """Name -> version of Python and of the packages that decide a run's result."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}


def describe_hardware(device: str) -> dict[str, str | int | None]:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    on_cuda = torch.device(device).type == "cuda"
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": memory_bytes,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if on_cuda else device,
    }


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
