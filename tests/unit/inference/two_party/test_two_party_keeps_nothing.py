"""No room of the two parties alone writes anything down: after a crash there is nothing that could serve twice."""

from __future__ import annotations

import ast

import pytest
from import_graph import imports_of, module_files

ROOMS = ("oblivious", "lattice", "comparison", "two_party", "inference.two_party")
MODULES = {name: path for name, path in module_files().items() if name.startswith(ROOMS)}
STORING = {"pickle", "json", "shelve", "sqlite3", "tempfile", "pathlib", "smule_crypten.files"}
WRITING = {"save", "savez", "dump", "dumps", "tofile", "write", "write_bytes", "write_text", "memmap"}
"""Functions of modules, and methods."""


def stores(name: str, source: str) -> set[str]:
    """What the source could write with."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    functions = {call.id for call in calls if isinstance(call, ast.Name)} & {"open"}
    methods = {call.attr for call in calls if isinstance(call, ast.Attribute)} & WRITING
    return functions | methods | (imports_of(name, source) & STORING)


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_stored(name: str) -> None:
    assert not stores(name, MODULES[name].read_text(encoding="utf-8"))


def test_every_room_is_looked_at() -> None:
    assert {room: any(name.startswith(f"{room}.") for name in MODULES) for room in ROOMS} == dict.fromkeys(ROOMS, True)


@pytest.mark.parametrize(
    "line", ["import pickle", "import torch\ntorch.save(seeds, path)", "open(path)", "from smule_crypten import files"]
)
def test_what_stores_is_found(line: str) -> None:
    assert stores("oblivious.silent", line)
