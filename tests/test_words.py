"""The word list of the style sheet: scripts/words.py finds what docs/style.md names, and no code."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORDS = runpy.run_path(str(ROOT / "scripts" / "words.py"))
ROWS = re.findall(
    r"^\| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "style.md").read_text(encoding="utf-8"), re.MULTILINE
)[1:]


def found_in(text: str, folder: Path) -> list[str]:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return list(WORDS["words_in"](page))


@pytest.mark.parametrize(("wrong", "right"), ROWS)
def test_the_page_and_the_script_agree(wrong: str, right: str, tmp_path: Path) -> None:
    """A phrase that the style sheet strikes is found once, what it says instead is not."""
    assert len(found_in(wrong, tmp_path)) == 1
    assert found_in(right, tmp_path) == []


def test_each_pattern_has_an_example() -> None:
    """The style sheet names every phrase that the script strikes."""
    assert len(ROWS) > 5
    unnamed = [word.pattern.pattern for word in WORDS["WORDS"] if not any(word.pattern.search(row[0]) for row in ROWS)]
    assert unnamed == []


def test_code_and_generated_tables_are_left_alone(tmp_path: Path) -> None:
    """Only prose is judged, and lines are counted from the top of the page."""
    page = "# A\n\n```text\nthe own\n```\n\n`the own` one\n\n<!-- run -->\nthe own\n<!-- end -->\n\nthe own\n"
    (line,) = found_in(page, tmp_path)
    assert "page.md:13: 'the own'" in line


def test_docstrings_and_messages_are_judged_in_code(tmp_path: Path) -> None:
    """Every line of a Python or YAML file counts, also in a string; code that only looks alike does not."""
    module = tmp_path / "module.py"
    module.write_text('"""Read the own file."""\nraise ValueError("bytes an epoch")\nfor who in "ab":\n    pass\n')
    assert [line.split(": ")[1] for line in WORDS["words_in"](module)] == ["'the own'", "'bytes an epoch'"]
    assert [path.name for path in WORDS["_files"]([str(tmp_path)])] == ["module.py"]


def test_paragraphs_and_items_are_measured_apart() -> None:
    """An item of a list is a paragraph of its own; tables, headings and code are none."""
    page = "# A\n\none\ntwo\n\n- three\n  four\n- five\n\n| a | b |\n\n```\ncode\n```\nsix\n"
    assert list(WORDS["paragraphs"](page)) == [(3, "one two"), (6, "- three four"), (8, "- five"), (15, "six")]
