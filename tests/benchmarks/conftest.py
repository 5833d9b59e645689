"""The scripts in benchmarks/ are no package: their folder is put on the path, as Python does when it runs one."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _script(monkeypatch: pytest.MonkeyPatch, name: str) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module(name)


@pytest.fixture
def delaying_proxy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _script(monkeypatch, "delaying_proxy")


@pytest.fixture
def emulated_link(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _script(monkeypatch, "emulated_link")


@pytest.fixture
def rounding_leak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _script(monkeypatch, "rounding_leak")


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _script(monkeypatch, "networks")


@pytest.fixture
def gpu_check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _script(monkeypatch, "gpu_check")


@pytest.fixture
def online_floor(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _script(monkeypatch, "online_floor")
