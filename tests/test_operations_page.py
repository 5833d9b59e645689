"""docs/operations.md: its tables are those of the code, and its commands are understood."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

from smule_crypten.audit.events import Event, Line
from smule_crypten.launch import audit
from smule_crypten.terms.document import Signature, SignedTerms, Terms

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")


def rows_below(*headings: str) -> list[list[str]]:
    """Cells of the table with this row of headings."""
    table = PAGE.partition(f"| {' | '.join(headings)} |\n")[2]
    lines = table.splitlines()[1:]
    rows = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def named(text: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", text)


def test_events_are_those_of_the_code() -> None:
    """Each kind of line with all of its keys, and no other."""
    kinds = {kind.model_fields["event"].default: kind for kind in get_args(get_args(Event)[0])}
    rows = rows_below("Event", "Meaning", "Keys")
    assert [named(row[0]) for row in rows] == [[name] for name in kinds]
    for row in rows:
        (name,) = named(row[0])
        assert named(row[2]) == [key for key in kinds[name].model_fields if key != "event"], name


def test_keys_of_a_line_are_those_of_the_code() -> None:
    section = PAGE.partition("### A line\n")[2]
    rows = re.findall(r"^\| `(\w+)` \|", section.partition("| Event |")[0], re.MULTILINE)
    assert rows == list(Line.model_fields)


def test_keys_of_terms_are_those_of_the_code() -> None:
    section = PAGE.partition("### What is in the file\n")[2].partition("###")[0]
    rows = [named(line.split("|")[1]) for line in section.splitlines() if line.startswith("| `")]
    found = {name for row in rows for name in row}
    expected = {f"terms.{name}" for name in Terms.model_fields if name != "schema_version"}
    assert found == expected | {name for name in SignedTerms.model_fields if name != "terms"}
    (signatures,) = (line for line in section.splitlines() if line.startswith("| `signatures`"))
    assert named(signatures.split("|")[2]) == list(Signature.model_fields)


def test_commands_are_understood() -> None:
    """Those of the page are taken as they stand."""
    calls = [shlex.split(line) for line in PAGE.splitlines() if line.startswith("smule-doctor audit ")]
    assert len(calls) == 2
    for call in calls:
        assert audit.parse(call[2:]).file == Path("first-run/party_a/audit.jsonl")
