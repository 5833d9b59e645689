"""smule-table: drafting a schema, asking before values of the data stand in it, and checking a table."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import yaml

from smule_crypten.launch.table import USAGE, main
from smule_crypten.tables.schema_file import read_schema

CSV = "age,town,left\n" + "".join(f"{20 + k},{('Ulm', 'Bonn')[k % 2]},{('no', 'yes')[k % 3 == 0]}\n" for k in range(40))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With customers.csv, the current folder; nobody sits at the terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    (tmp_path / "customers.csv").write_text(CSV)
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_a_draft_is_no_schema_until_it_is_filled_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other party reads it, so it begins without values; what is blank is refused by name."""
    assert run("schema", "customers.csv", "target=left", "output=schema.yaml") == 0
    text = (folder / "schema.yaml").read_text()
    assert "{name: town, role: feature, kind: categorical, categories: '???'}" in text
    assert "Ulm" not in text
    assert "3 column(s) have blanks" in capsys.readouterr().err
    assert run("check", "customers.csv", "schema=schema.yaml") == 2
    assert "still has blanks (???): column 'age': centre: write a typical value" in capsys.readouterr().err


def test_what_is_confirmed_stands_in_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Column by column, or all; then the table fits its own schema."""
    assert run("schema", "customers.csv", "target=left", "confirm=town") == 0
    printed = capsys.readouterr().out
    assert "categories: [Bonn, Ulm]" in printed
    assert "kind: numeric, centre: '???'" in printed
    assert run("schema", "customers.csv", "target=left", "confirm=all", "output=schema.yaml") == 0
    assert read_schema(folder / "schema.yaml").class_names == ("no", "yes")
    assert run("check", "customers.csv", "schema=schema.yaml") == 0
    assert "customers.csv fits: 40 rows, 2 columns; classification: no, yes" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_is_asked(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a column that has values; no answer, or another one than yes, keeps them out."""
    monkeypatch.setattr("sys.stdin", Terminal("\nyes\n"))
    assert run("schema", "customers.csv", "target=left") == 0
    printed = capsys.readouterr()
    assert printed.err.count("May the other party read that? [y/N]") == 3
    assert "centre: '???'" in printed.out
    assert "categories: [Bonn, Ulm]" in printed.out
    assert "name: left, role: target, kind: categorical, categories: '???'" in printed.out


def test_whose_numbers_are_confirmed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Constants are drafted from one party's rows; of a target both parties' values are scaled by them. It is said
    before anybody agrees, of numbers alone.
    """
    (folder / "numbers.csv").write_text("x,y,town\n" + "".join(f"{k}.5,{k * k}.5,{'UB'[k % 2]}\n" for k in range(40)))
    monkeypatch.setattr("sys.stdin", Terminal("\n\n\n"))
    assert run("schema", "numbers.csv", "target=y") == 0
    x, y, town = (line for line in capsys.readouterr().err.split("column ")[1:4])
    assert "of this table's rows alone. May the other party read that?" in x
    assert "of this table's rows alone, by which both parties' targets are scaled" in y
    assert "rows" not in town


def test_what_stands_in_a_draft_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kinds, missing values and useless columns follow from the data: the help says so, of all that does."""
    rows = "".join(f"k,{k / 4 if k % 7 else ''},{k},{k % 2}\n" for k in range(80))
    (folder / "t.csv").write_text("one,gaps,row,y\n" + rows)
    assert run("schema", "t.csv", "target=y", "confirm=y") == 0
    printed = capsys.readouterr().out
    one, gaps, row, _ = yaml.safe_load(printed)["columns"]
    assert (one["role"], row["role"]) == ("ignore", "ignore")
    assert gaps == {
        "name": "gaps",
        "role": "feature",
        "kind": "numeric",
        "centre": "???",
        "scale": "???",
        "missing": True,
    }
    assert "missing and ignore follow from the data" in printed
    for words in ("names of columns", "their kinds", '"missing"', '"ignore"', "single one", "numbers the rows"):
        assert words in USAGE


def test_a_check_names_all_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, and the exit code of data that cannot be used."""
    run("schema", "customers.csv", "target=left", "confirm=all", "output=schema.yaml")
    (folder / "other.csv").write_text("town,age,left\nKiel,30,no\nUlm,young,no\n")
    assert run("check", "other.csv", "schema=schema.yaml") == 3
    printed = capsys.readouterr()
    assert "column 'age', row 2: 'young' is no number" in printed.out
    assert "column 'town', row 1: 'Kiel' is not among the categories" in printed.out
    assert "other.csv: 2 column(s) do not fit schema.yaml" in printed.err


MISTAKES = {
    "nothing": ([], 2, "name what to do"),
    "no table": (["schema"], 2, "name one table"),
    "unknown key": (["schema", "customers.csv", "traget=left"], 2, "'traget': unknown key (did you mean target?"),
    "key twice": (["schema", "customers.csv", "target=a", "target=b"], 2, "target: give one value"),
    "no schema": (["check", "customers.csv"], 2, "schema: name the schema to check by"),
    "not a column": (["schema", "customers.csv", "target=lfet"], 2, "no column 'lfet' (did you mean left?"),
    "nothing to confirm": (["schema", "customers.csv", "confirm=tonw"], 2, "(did you mean town?"),
    "output is there": (["schema", "customers.csv", "output=customers.csv"], 5, "customers.csv exists already"),
    "no such file": (["schema", "none.csv"], 3, "no such file"),
    "separator": (["schema", "customers.csv", "separator=;"], 2, "separator: Input should be 'comma'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code of their kind; nothing is written over."""
    arguments, code, message = MISTAKES[case]
    assert run(*arguments) == code
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert (folder / "customers.csv").read_text() == CSV


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "smule-table schema FILE" in capsys.readouterr().out
