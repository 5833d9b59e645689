"""The files of known answers are what their scripts make, and the scripts know nothing of the package."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import make_lattice_product
import oblivious_reference as reference
import pytest
import vector_files
import x25519_reference

SCRIPTS = sorted(path.stem for path in vector_files.FOLDER.glob("make_*.py"))
HELPERS = ["oblivious_reference", "schoolbook", "vector_files", "x25519_reference", "lattice_reference"]


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "make_lattice_product"])
def test_a_file_is_what_its_script_makes(script: str) -> None:
    made = importlib.import_module(script).vectors()
    assert vector_files.text_of(made) == vector_files.path_of(script.removeprefix("make_")).read_text(encoding="utf-8")


def test_small_products_are_what_their_script_makes() -> None:
    known = vector_files.load("lattice_product")["cases"]
    assert make_lattice_product.vectors(most=256)["cases"] == known[:2]


@pytest.mark.slow
def test_all_products_are_what_their_script_makes() -> None:
    assert make_lattice_product.vectors() == vector_files.load("lattice_product")


def test_every_file_has_a_script() -> None:
    files = sorted(path.stem for path in vector_files.FOLDER.glob("*.json"))
    assert files == [name.removeprefix("make_") for name in SCRIPTS]
    assert all(vector_files.load(name)["made_by"] == f"python tests/vectors/make_{name}.py" for name in files)


@pytest.mark.parametrize("name", [*SCRIPTS, *HELPERS])
def test_scripts_are_independent(name: str) -> None:
    """Python's own library, `cryptography`, and each other: nothing of the package, nor NumPy or torch."""
    tree = ast.parse((Path(vector_files.FOLDER) / f"{name}.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {module.split(".")[0] for module in imported}
    assert roots <= {"cryptography", *SCRIPTS, *HELPERS, *sys.stdlib_module_names}


def test_slow_aes_is_aes() -> None:
    """Appendix C.1 of FIPS 197, and two blocks of a counter that begins with zero."""
    key, plain = bytes(range(16)), bytes.fromhex("00112233445566778899aabbccddeeff")
    assert reference.aes(key, plain).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"
    # The zero block and the next one under the key of zeros (NIST's AESAVS, and test case 2 of its GCM).
    found = reference.counter_mode(bytes(16), 32).hex()
    assert found[:32] == "66e94bd4ef8a2c3b884cfa59ca342b2e"
    assert found[32:] == "58e2fccefa7e3061367f1d57a4e7455a"


def test_slow_x25519_is_x25519() -> None:
    """The first vector of RFC 7748, section 5.2, and its first iteration."""
    first = x25519_reference.x25519(
        bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
        bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
    )
    assert first.hex() == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    once = x25519_reference.x25519(x25519_reference.BASE, x25519_reference.BASE)
    assert once.hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
