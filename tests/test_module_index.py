"""src/smule_crypten/README.md lists the modules in import order; this holds it to the code."""

from __future__ import annotations

import re

import pytest
from import_graph import FOLDERS, inner_imports, module_files

INDEX = (FOLDERS[""] / "README.md").read_text()
ENTRIES = [(int(number), path) for number, path in re.findall(r"^(\d+)\. `([\w/]+\.py)`: \S.*$", INDEX, re.MULTILINE)]
MODULES = {name: path for name, path in module_files().items() if path.name != "__init__.py"}


def path_in_index(name: str) -> str:
    return f"{name.replace('.', '/')}.py"


NUMBERS = {path: number for number, path in ENTRIES}


def test_every_module_is_listed_once() -> None:
    """A reader finds each module, and none that is gone."""
    assert sorted(path for _, path in ENTRIES) == sorted(map(path_in_index, MODULES))


def test_numbers_count_up() -> None:
    """The order on the page is the order of the numbers, from 1 without a gap; Markdown would renumber in silence."""
    numbered_lines = re.findall(r"^(\d+)\.", INDEX, re.MULTILINE)
    assert [number for number, _ in ENTRIES] == list(range(1, len(ENTRIES) + 1))
    assert len(numbered_lines) == len(ENTRIES)


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_a_higher_number(name: str) -> None:
    """Read from 1 upwards, everything a module uses has been met before; there are no import cycles."""
    imported = inner_imports(name, MODULES[name].read_text(), set(MODULES)) - {name}
    own = NUMBERS[path_in_index(name)]
    assert [other for other in sorted(imported) if NUMBERS[path_in_index(other)] >= own] == []


def test_floors_do_not_mix() -> None:
    """The modules of each folder, with those of the folders inside it, follow each other."""
    paths = [path for _, path in ENTRIES]
    for folder in {path.rpartition("/")[0] for path in paths if "/" in path}:
        positions = [position for position, path in enumerate(paths) if path.startswith(f"{folder}/")]
        assert positions == list(range(positions[0], positions[-1] + 1)), folder
