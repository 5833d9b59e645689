"""Who imports whom, read from the source text. Shared by the tests of the structure."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "smule_crypten"
ROOT = Path(__file__).parent.parent
FOLDERS = {"": ROOT / "src" / PACKAGE, "launch.": ROOT / "launch", "conf.": ROOT / "conf"}
"""Prefix of the module names inside the package -> where their files lie."""


def module_files() -> dict[str, Path]:
    """Name inside the package, for example "mpc.streams" -> file. A folder's __init__ has the folder's name."""
    return {
        f"{prefix}{_dotted(path.relative_to(folder))}".removesuffix("."): path
        for prefix, folder in FOLDERS.items()
        for path in sorted(folder.rglob("*.py"))
    }


def _dotted(path: Path) -> str:
    return ".".join(part for part in path.with_suffix("").parts if part != "__init__")


def imports_of(name: str, source: str) -> set[str]:
    """Full names of what a module of the package imports, also inside functions and through import_module.

    `from x import y` gives both x and x.y, because y may be a module.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        found.update(_imported(f"{PACKAGE}.{name}", node))
    return found


def _imported(importer: str, node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom():
            relative = "." * node.level + (node.module or "")
            module = importlib.util.resolve_name(relative, importer.rpartition(".")[0])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
            args=[ast.Constant(value=str(module)), *_],
        ):
            yield module


def inner_imports(name: str, source: str, modules: set[str]) -> set[str]:
    """Names inside the package of the modules that are imported."""
    prefix = f"{PACKAGE}."
    inner = {imported.removeprefix(prefix) for imported in imports_of(name, source) if imported.startswith(prefix)}
    return inner & modules
