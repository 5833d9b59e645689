"""What setup.cfg declares is what scripts/versions looks at, and what docs/limitations.md says was tested."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from smule_crypten.doctor.checkup_local import TESTED_PYTHONS

ROOT = Path(__file__).parents[1]
DECLARED = configparser.ConfigParser()
DECLARED.read(ROOT / "setup.cfg", encoding="utf-8")
PINNED = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)


def looked_at() -> dict[str, tuple[str, str, str]]:
    """Name -> Python, torch and torchvision of a row of scripts/versions."""
    (rows,) = re.findall(r'^ROWS="([^"]*)"', (ROOT / "scripts" / "versions").read_text(), re.MULTILINE)
    found = {}
    for name, python, *torch in (line.split() for line in rows.splitlines()):
        found[name] = (python, *(torch or (PINNED["torch"], PINNED["torchvision"])))
    return found


def test_every_declared_python_is_tested() -> None:
    """No minor version is accepted that was not looked at, and none was looked at that is refused."""
    pythons = {python for python, *_ in looked_at().values()}
    classified = set(re.findall(r"Python :: (3\.\d+)$", DECLARED["metadata"]["classifiers"], re.MULTILINE))
    accepted = SpecifierSet(DECLARED["options"]["python_requires"])
    assert pythons == classified == set(TESTED_PYTHONS)
    assert pythons == {f"3.{minor}" for minor in range(30) if accepted.contains(f"3.{minor}.99")}


def test_both_ends_of_the_declared_torch_are_tested() -> None:
    """The lowest version that is accepted is a row, and so is the newest minor version."""
    listed = DECLARED["options"]["install_requires"].splitlines()
    required = {found.name: found.specifier for found in map(Requirement, filter(_is_requirement, listed))}
    for place, name in ((1, "torch"), (2, "torchvision")):
        versions = sorted(Version(row[place]) for row in looked_at().values())
        bounds = {bound.operator: Version(bound.version) for bound in required[name]}
        assert bounds == {">=": versions[0], "<": Version(f"{versions[-1].major}.{versions[-1].minor + 1}")}


def _is_requirement(line: str) -> bool:
    return bool(line) and not line.startswith("#")


def test_the_page_names_what_is_looked_at() -> None:
    """docs/limitations.md has a row for each, with the same versions."""
    page = (ROOT / "docs" / "limitations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| (3\.\d+)\.\d+ \| ([\d.]+), ([\d.]+) \|", page, re.MULTILINE)
    assert {name: tuple(versions) for name, *versions in rows} == looked_at()
