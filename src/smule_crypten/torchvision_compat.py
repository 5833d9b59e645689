"""Importing torchvision, also beside a PyTorch build that its compiled extension does not fit.

torchvision's usual wheel is linked against CUDA libraries. Beside a CPU-only PyTorch that extension cannot be loaded,
so the operators that it would define do not exist; torchvision nevertheless registers shape functions for two of them
while it is imported, and stops with "operator torchvision::nms does not exist". Declaring the two operators without
an implementation lets the import through. Detection networks are the only users of those operators; classification
networks and data sets work as usual. Where the extension does load, nothing is declared.
"""

from __future__ import annotations

import functools
import importlib
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch


def load_torchvision() -> ModuleType:
    """Import torchvision and return it. Takes a second or two the first time.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    prepare_torchvision()
    return importlib.import_module("torchvision")


def prepare_torchvision() -> None:
    """Let torchvision be imported by whatever comes next, such as a module of the user's."""
    if "torchvision" not in sys.modules and find_spec("torchvision") is not None and not _extension_loads():
        _declare_operators()


def _extension_loads() -> bool:
    """Load torchvision's extension the way torchvision itself does; loading it twice is harmless."""
    spec = find_spec("torchvision")
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    files = [Path(folder, f"_C{suffix}") for folder in folders for suffix in EXTENSION_SUFFIXES]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return False
    try:
        torch.ops.load_library(path)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True


@functools.cache
def _declare_operators() -> torch.library.Library:
    """The cache keeps the library object alive: the declarations go away with it."""
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    return library
