"""What of a file does not fit a schema: all columns, where reading it would end at the first."""

from __future__ import annotations

from smule_crypten.errors import DataError, quoted
from smule_crypten.tables.reading import clean_column
from smule_crypten.tables.schema import TableSchema
from smule_crypten.tables.source import TableFile


def misfits(file: TableFile, schema: TableSchema) -> tuple[int, list[str]]:
    """The number of rows, and of each column that does not fit what is wrong with it first.

    Raises:
        DataError: the file cannot be read.
    """
    used = schema.features + schema.targets
    found = {c.name: f"{file.path}: no column {quoted(c.name)}" for c in used if c.name not in file.names}
    rows = 0
    for first, chunk in file.chunks():
        rows = first + len(chunk)
        for column in used:
            if column.name not in found:
                try:
                    clean_column(file, schema, column, chunk, first)
                except DataError as error:
                    found[column.name] = str(error)
    return rows, [found[column.name] for column in used if column.name in found]
