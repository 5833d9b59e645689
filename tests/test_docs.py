"""What the documentation shows runs, and what it lists is what the code says."""

from __future__ import annotations

import configparser
import re
import runpy
from pathlib import Path

import pytest
import torch

from smule_crypten.errors import INTERRUPTED_EXIT_CODE, SmuleError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def scripts_of(page: str) -> dict[str, str]:
    """Heading -> the Python blocks below it, joined."""
    sections = re.split(r"^## ", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    blocks = {
        text.partition("\n")[0]: re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.M) for text in sections
    }
    return {heading: "\n".join(found) for heading, found in blocks.items() if found}


EXAMPLES = [(page, heading) for page in ("library.md", "protocol.md") for heading in scripts_of(page)]


@pytest.mark.parametrize(("page", "heading"), EXAMPLES)
def test_examples_run(page: str, heading: str, tmp_path: Path) -> None:
    """An example that a reader copies works."""
    script = tmp_path / "example.py"
    script.write_text(scripts_of(page)[heading], encoding="utf-8")
    with torch.random.fork_rng(devices=[]):
        runpy.run_path(str(script), run_name="__main__")


def test_library_page_has_its_examples() -> None:
    """The page did not lose its code, which the test above would not notice."""
    assert list(scripts_of("library.md")) == [
        "Own data, network and training loop",
        "Secure inference",
        "A trained network",
    ]


def subclasses(error: type[SmuleError]) -> list[type[SmuleError]]:
    return [error] + [found for child in error.__subclasses__() for found in subclasses(child)]


def test_exit_codes_are_documented() -> None:
    """docs/exit-codes.md lists every error of ours with its exit code."""
    text = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|([^|]*)\|", text, re.MULTILINE)
    documented = {(name, int(code)) for code, names in rows for name in re.findall(r"`(\w+Error)`", names)}
    ours = [error for error in subclasses(SmuleError) if error.__module__ == "smule_crypten.errors"]
    assert documented == {(error.__name__, error.exit_code) for error in ours}
    assert {0, INTERRUPTED_EXIT_CODE} <= {int(code) for code, _ in rows}


def test_dependencies_are_documented() -> None:
    """docs/dependencies.md explains every package that setup.cfg requires, and no other."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    requirements = [line for line in settings["options"]["install_requires"].splitlines() if line.strip()]
    required = {re.split(r"[<>=]", line)[0] for line in requirements if not line.startswith("#")}
    text = (DOCS / "dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)) == required
