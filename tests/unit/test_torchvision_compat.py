from __future__ import annotations

import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
import torch

from smule_crypten import torchvision_compat


def test_torchvision_imports_and_builds_a_network() -> None:
    """In a fresh process, beside any build of PyTorch, classification networks can be built."""
    program = (
        "from smule_crypten.torchvision_compat import load_torchvision\n"
        "print(sum(p.numel() for p in load_torchvision().models.resnet18().parameters()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "11689512"


@pytest.mark.parametrize(("extension", "declared"), [("loadable", False), ("damaged", True), ("absent", True)])
def test_operators_are_declared_only_without_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, declared: bool
) -> None:
    """An installation whose extension loads stays untouched; its own operators would clash with ours."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("stand_in = True")
    library = package / f"_C{EXTENSION_SUFFIXES[0]}"
    if extension == "loadable":
        library.symlink_to(torch._C.__file__)
    elif extension == "damaged":
        library.write_bytes(b"no library")
    calls: list[str] = []
    monkeypatch.setattr(torchvision_compat, "_declare_operators", lambda: calls.append("declared"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "torchvision", None)  # so that the real module is put back afterwards
    del sys.modules["torchvision"]
    assert torchvision_compat.load_torchvision().stand_in
    assert bool(calls) is declared


def test_missing_torchvision_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the import error is the usual one."""
    monkeypatch.setattr(torchvision_compat, "_declare_operators", lambda: None)
    monkeypatch.setattr(torchvision_compat, "_extension_loads", lambda: False)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ModuleNotFoundError):
        torchvision_compat.load_torchvision()
