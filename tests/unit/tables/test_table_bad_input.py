"""What tables of real organisations look like at first: one line each, with column, row and what to do."""

from __future__ import annotations

import builtins
import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from table_files import CSV, SCHEMA, read, write

from smule_crypten.errors import DataError
from smule_crypten.tables.checking import misfits
from smule_crypten.tables.schema import Column, TableSchema
from smule_crypten.tables.source import CsvFormat, TableFile

HEAD = "age,sex,owns,plan\n"
BAD_ROWS = {
    "text for a number": ("50,f,no,No\nold,f,no,No\n", "column 'age', row 2: 'old' is no number; fix it, or name it"),
    "infinite": ("inf,f,no,No\n", "column 'age', row 1: 'inf' is infinite"),
    "too large": ("1e400,f,no,No\n", "column 'age', row 1: '1e400' is infinite"),
    "whole number beyond floats": (
        "12345678901234567890123,f,no,No\n",
        r"column 'age', row 1: '12345678901234567890123' is beyond 2\^53.*an id\? give it role ignore",
    ),
    "unknown category": ("50,x,no,No\n", "column 'sex', row 1: 'x' is not among the categories .* or name one of them"),
    "category in other letters": ("50,F,no,No\n", "column 'sex', row 1: 'F' is not among the categories"),
    "unknown class": ("50,f,no,Maybe\n", "column 'plan', row 1: 'Maybe' is not among .* add it at both parties$"),
    "no truth value": ("50,f,2,No\n", "column 'owns', row 1: '2' is neither true nor false"),
    "missing feature": ("50,f,,No\n", "column 'owns', row 1: has no value; fill it in, or set missing: true"),
    "missing target": ("50,f,no,No\n50,f,no,\n", "column 'plan', row 2: has no value, and it is to be predicted"),
    "row too long": ("50,f,no,No\n50,f,no,No,7\n", "Expected 4 fields in line 3, saw 5"),
    "rows too long": ("50,f,no,No,7\n50,f,no,No,7\n", "rows have more values than the first line has names"),
    "open quote": ('50,f,no,"No\n', "EOF inside string"),
    "no rows": ("", "has no rows below its first line"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_do_not_fit(case: str, tmp_path: Path) -> None:
    """Column, row and value stand in the line: it is the terminal of the organisation that owns them."""
    rows, message = BAD_ROWS[case]
    with pytest.raises(DataError, match=message) as raised:
        read(write(tmp_path, HEAD + rows))
    assert "\n" not in str(raised.value)
    assert "table.csv" in str(raised.value)


BAD_FILES: dict[str, tuple[str, str, str]] = {
    "column missing": ("age,owns,plan\n", "utf-8", r"lacks 1 column\(s\) of the schema: 'sex'"),
    "column misspelt": ("aeg,sex,owns,plan\n", "utf-8", r"lacks 1 column\(s\) of the schema: 'age' \(did you mean aeg"),
    "column twice": ("age,age,sex,owns,plan\n", "utf-8", "two columns are called 'age'"),
    "control characters": ("age,s\x07ex,owns,plan\n", "utf-8", "the name of column 2 has characters that cannot be"),
    "semicolons": (
        "age;sex;owns;plan\n1,5;f;1;No\n",
        "utf-8",
        "one column found.*set data.options.separator=semicolon",
    ),
    "tabs": ("age\tsex\n", "utf-8", "one column found.*set data.options.separator=tab"),
    "latin-1": ("age,sex,owns,plan,größe\n", "latin-1", "is not utf-8; set data.options.encoding, to latin-1"),
    "latin-1 below": ("age,sex,owns,plan\n5,ä,1,No\n", "latin-1", "is not utf-8; set data.options.encoding"),
    "utf-16": ("age,sex,owns,plan\n", "utf-16", "is UTF-16; set data.options.encoding=utf-16"),
    "binary": ("PK\x03\x04\x00\x00", "utf-8", "is no text, so no CSV file"),
    "empty": ("", "utf-8", "is empty; its first line must name the columns"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_files_that_do_not_fit(case: str, tmp_path: Path) -> None:
    """Separator, encoding and columns are looked at before any row."""
    text, encoding, message = BAD_FILES[case]
    with pytest.raises(DataError, match=message) as raised:
        read(write(tmp_path, text, encoding=encoding))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("how", [{"encoding": "latin-1"}, {"encoding": "utf-16"}, {"encoding": "utf-8"}])
def test_the_named_encoding_is_used(how: dict[str, str], tmp_path: Path) -> None:
    """As the message says."""
    schema = TableSchema(
        columns=(
            Column(name="größe", kind="categorical", categories=("groß", "klein")),
            Column(name="y", role="target", kind="boolean"),
        )
    )
    path = write(tmp_path, "größe,y\ngroß,1\nklein,0\n", encoding=how["encoding"])
    assert read(path, schema, **how).features.tolist() == [[1, 0], [0, 1]]


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    """What a German spreadsheet writes."""
    path = write(tmp_path, "age;sex;owns;plan\n42,5;f;ja;No\n".replace("ja", "yes"))
    assert read(path, separator="semicolon", decimal="comma").features[0, 0] == pytest.approx(0.25)


def test_unknown_encoding_and_missing_files(tmp_path: Path) -> None:
    """A wrong name is called so."""
    with pytest.raises(DataError, match=r"data.options.encoding: 'utf-9' is unknown"):
        read(write(tmp_path, CSV), encoding="utf-9")
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="no regular file"):
        read(tmp_path)


def test_unknown_values_may_count_as_another_category(tmp_path: Path) -> None:
    """By the schema, at both parties alike, and with a note; columns that are not in the schema are noted, too."""
    columns = tuple(
        column.model_copy(update={"other": "m"}) if column.name == "sex" else column for column in SCHEMA.columns
    )
    table = read(
        write(tmp_path, "age,sex,owns,plan,city\n50,x,no,No,Ulm\n"), SCHEMA.model_copy(update={"columns": columns})
    )
    assert table.features[0, 3:5].tolist() == [0, 1]
    assert table.notes == (
        "table.csv: not in the schema and not used: 'city'",
        "table.csv: 1 unknown values of 'sex' count as its other category",
    )


def test_outliers_are_cut_and_said(tmp_path: Path) -> None:
    """One value of a thousand scales would leave the range of fixed point."""
    table = read(write(tmp_path, HEAD + "100000,f,no,No\n"))
    assert table.features[0, 0] == 10
    assert table.notes == ("table.csv: values more than 10 scales from the centre are cut to that: 'age' (1)",)


def test_all_columns_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """Where reading ends at the first, the check goes on."""
    file = TableFile.open(write(tmp_path, "age,owns,plan\n1,x,No\ny,1,No\n"), CsvFormat())
    rows, wrong = misfits(file, SCHEMA)
    assert rows == 2
    assert [line.partition(": ")[0].rpartition("/")[2] for line in wrong] == [
        "table.csv, column 'age', row 2",
        "table.csv",
        "table.csv, column 'owns', row 1",
    ]


def parquet(folder: Path, columns: dict[str, Any]) -> Path:
    pytest.importorskip("pyarrow")
    path = folder / "table.parquet"
    pd.DataFrame(columns).to_parquet(path)
    return path


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    """Types of Parquet, whole numbers beside missing ones and truth values, are read as the same table."""
    columns = {
        "owns": [True, False, True],
        "age": pd.array([50.0, None, 35.5], "Float64"),
        "sex": pd.Categorical(["m", "f", None]),
        "plan": ["Yes", "No", "No"],
    }
    table, plain = read(parquet(tmp_path, columns)), read(write(tmp_path, CSV))
    assert (table.features == plain.features).all()
    assert (table.places == plain.places).all()


def test_categories_of_whole_numbers(tmp_path: Path) -> None:
    """A column of codes is a category by its texts; missing ones do not make 3 to 3.0."""
    schema = TableSchema(
        columns=(
            Column(name="code", kind="categorical", categories=("3", "12"), missing=True),
            Column(name="y", role="target", kind="boolean"),
        )
    )
    path = parquet(tmp_path, {"code": pd.array([3, None, 12], "Int64"), "y": [1, 0, 1]})
    assert read(path, schema).features.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_parquet_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged, with nested values or dates, or without the package that reads it."""
    good = {"age": [1.0], "sex": ["f"], "owns": [True], "plan": ["No"]}
    with pytest.raises(DataError, match=r"column 'sex': holds lists or other nested values.*role ignore"):
        read(parquet(tmp_path, good | {"sex": [["f", "m"]]}))
    with pytest.raises(DataError, match="column 'age', row 1: '2020-02-03' is no number"):
        read(parquet(tmp_path, good | {"age": [dt.date(2020, 2, 3)]}))
    with pytest.raises(DataError, match=r"cannot read .*table.parquet"):
        read(write(tmp_path, CSV, "table.parquet"))
    imports = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return imports(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"Parquet needs pyarrow; pip install 'smule-crypten\[parquet\]'"):
        read(tmp_path / "table.parquet")
