"""Small tables as files, and reading them."""

from __future__ import annotations

from pathlib import Path

from smule_crypten.tables.reading import Table, read_table
from smule_crypten.tables.schema import Column, TableSchema
from smule_crypten.tables.source import CsvFormat, TableFile

SCHEMA = TableSchema(
    columns=(
        Column(name="age", kind="numeric", centre=40.0, scale=10.0, missing=True),
        Column(name="sex", kind="categorical", categories=("f", "m"), missing=True),
        Column(name="owns", kind="boolean"),
        Column(name="id", role="ignore"),
        Column(name="plan", role="target", kind="categorical", categories=("No", "Yes")),
    )
)
CSV = "id,age,sex,owns,plan\n1,50,m,yes,Yes\n2,,f,no,No\n3,35.5,,1,No\n"


def write(folder: Path, text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    """A file with this text."""
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read(path: Path, schema: TableSchema = SCHEMA, **how: object) -> Table:
    """By a schema; how: as CsvFormat has it."""
    return read_table(TableFile.open(path, CsvFormat.model_validate(how)), schema)
