"""What is printed fits the terminal: no cut column, no break inside a word or a number."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console, RenderableType

from smule_crypten.report.run_records import RunRecord
from smule_crypten.report.summary import build_summary
from smule_crypten.report.tables import result_table
from smule_crypten.report.terminal import Column, Facts, Grid
from smule_crypten.suites.benchmark import terminal_tables
from smule_crypten.suites.suite_records import ResultTable, SuiteResults

_WIDTHS = (48, 80, 120)


def _printed(table: RenderableType, width: int) -> list[str]:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(table)
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    return lines


def _words(lines: list[str]) -> set[str]:
    return {word for line in lines for word in line.split()}


@pytest.mark.parametrize("width", _WIDTHS)
def test_numbers_and_words_of_a_result_stay_whole(width: int, record: RunRecord) -> None:
    """With long names and large counts, too; a long name is broken only behind its own separators."""
    of_a = {"architecture": "efficientnet_v2_small_cifar"}
    of_b = {"architecture": "my_package.networks.VeryLongName", "num_train": 123_456_789}
    for name, values in (("a", of_a), ("b", of_b)):
        record.parties[name] = record.parties[name].model_copy(update=values)
    lines = _printed(result_table(build_summary(record)), width)
    words = _words(lines)
    assert {"123,456,789", "90.0", "95.0", "+1.0", "-0.5"} <= words
    assert {"efficientnet_v2_small_cifar", "efficientnet_v2_", "efficientnet_"} & words
    assert any(word.endswith("VeryLongName") for word in words)
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in lines)


@pytest.mark.parametrize("width", _WIDTHS)
def test_every_column_of_a_comparison_is_shown(width: int) -> None:
    """Where a table of many columns is too wide, its rows become lists, and nothing is left out."""
    keys = [("method", "Method"), *((f"{number}_accuracy", f"Heading number {number}") for number in range(7))]
    row: dict[str, Any] = {f"{number}_accuracy": 0.111 * (number + 1) for number in range(7)}
    row |= {"method": "averaging of weights", "basis": "extrapolated"}
    shown = ResultTable(title="All", columns=keys, on_terminal=[key for key, _ in keys], rows=[row], note="")
    facts: dict[str, Any] = {"suite": "", "date": "", "command": [], "commit": None, "versions": {}, "hardware": {}}
    results = SuiteResults(tables=[shown], insecure_choices=[], config={}, **facts)
    lines = _printed(terminal_tables(results), width)
    text = " ".join(" ".join(lines).split())
    for number in range(7):
        assert f"{11.1 * (number + 1):.1f} %" in text
    assert {"averaging", "weights", "extrapolated", "Method"} <= _words(lines) | {"Method"}
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in lines)


def test_a_table_that_cannot_fit_becomes_lists() -> None:
    """Each value stands beside its heading."""
    columns = [Column(heading="", is_number=False), Column(heading="test\naccuracy"), Column(heading="samples")]
    grid = Grid(title="T", columns=columns, rows=[["party a", "90.0 %", "1,200"]])
    assert [line.strip() for line in _printed(grid, 24)] == [
        "T",
        "party a",
        "test accuracy:",
        "90.0 %",
        "samples: 1,200",
    ]
    assert any(re.search(r"party a +90.0 % +1,200", line) for line in _printed(grid, 40))


def test_a_number_stays_with_its_unit() -> None:
    """No line begins with the unit of the number before it."""
    lines = _printed(Facts({"time": "training 12.5 s + exchange 31.0 s, 1.60 kB, 90.0 %"}), 24)
    assert len(lines) > 2
    assert not any(re.match(r"\s*(s|kB|%)(\W|$)", line) for line in lines)


def test_facts_wrap_at_words() -> None:
    """Continued lines stand below the text; only a name wider than the line is broken, behind a separator."""
    facts = Facts({"alpha": "one two three four", "empty": "", "path": "/somewhere/deep/below"})
    lines = [line.rstrip() for line in _printed(facts, 24)]
    assert lines == ["  alpha    one two three", "           four", "  path     /somewhere/", "           deep/below"]
    assert _printed(Facts({"a": "[bold]x"}), 40) == ["  a    [bold]x"]
