"""Whatever a file holds: a table, or an error of one line."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table_files import CSV

from smule_crypten.errors import SmuleError
from smule_crypten.tables.drafting import derive, draft, propose
from smule_crypten.tables.reading import read_table
from smule_crypten.tables.source import CsvFormat, TableFile

CELLS = st.sampled_from(
    ["", "1", "2.5", "-3", "inf", "1e999", "yes", "no", "a", "b", "NA", '"', "2020-01-01", "9" * 25, "é"]
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width + 1), min_size=1, max_size=8)
)


def used(path: Path) -> str | None:
    """All that is done with a file; what is wrong with it, which the user can mend."""
    try:
        file = TableFile.open(path, CsvFormat())
        draft(propose([file], file.names[-1:]), True, lambda proposal: True)
        schema, _ = derive([file], file.names[-1:])
        table = read_table(file, schema)
    except SmuleError as error:
        return str(error)
    assert len(table.features) == len(table.places) > 0
    return None


def check(path: Path) -> None:
    wrong = used(path)
    assert wrong is None or ("\n" not in wrong and (path.name in wrong or "data." in wrong))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(rows=TABLES)
def test_cells_of_all_kinds(rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rows of unequal length, quotes that never end, and numbers that are none."""
    path = tmp_path_factory.mktemp("cells") / "t.csv"
    path.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    check(path)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(content=st.binary(max_size=200))
@example(content=b"a,b\n1,2\n\x00,3\n")
@example(content=b"\xef\xbb\xbfa,b\r1,2\r3,4\r")
@example(content=b'"a\nb",c\n1,2\n')
def test_bytes_of_all_kinds(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is no table at all."""
    for name in ("t.csv", "t.parquet"):
        path = tmp_path_factory.mktemp("bytes") / name
        path.write_bytes(content)
        check(path)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(cut=st.integers(0, 3000), flipped=st.integers(0, 3000))
def test_damaged_parquet(cut: int, flipped: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Cut short, or with a byte that is another one."""
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("parquet")
    buffer = io.BytesIO()
    pd.read_csv(io.StringIO(CSV)).to_parquet(buffer)
    content = bytearray(buffer.getvalue())
    content[flipped % len(content)] ^= 0x55
    path = folder / "t.parquet"
    for damaged in (content, buffer.getvalue()[: cut % len(content)]):
        path.write_bytes(bytes(damaged))
        check(path)
