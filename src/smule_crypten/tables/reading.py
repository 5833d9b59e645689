"""A table by its schema: inputs, targets, and which rows are held out for testing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smule_crypten.config.config_reading import suggest
from smule_crypten.errors import DataError, quoted
from smule_crypten.tables.encoder import TableEncoder
from smule_crypten.tables.row_store import RowStore
from smule_crypten.tables.schema import Column, TableSchema
from smule_crypten.tables.source import TableFile, listed
from smule_crypten.tables.values import RowError, clean

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 2 << 30
"""Of the inputs of one table that is to be predicted, which is held in memory."""
_HASH_KEY = "smule table rows"
"""Public: the same rows are held out for testing at everyone who has the same rows."""
_MOST_CUT = 3


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    Attributes:
        features: (N, features) float32, in memory or in a temporary file.
        targets: (N) int64 class numbers, or (N, labels or targets) float32; None where they were not asked for.
        places: (N) float64 in [0, 1): follows from the values of a row's features alone, so that rows which are alike
            have the same one.
        notes: what was left out and changed.
        content: SHA-256 of features in a temporary file, which is mapped; None where they are in memory.
    """

    features: NDArray[np.float32]
    targets: NDArray[Any] | None
    places: NDArray[np.float64]
    notes: tuple[str, ...]
    content: str | None = None


def read_table(
    file: TableFile, schema: TableSchema, *, with_targets: bool = True, kept_bytes: int | None = None
) -> Table:
    """Read a file by a schema, chunk by chunk.

    Args:
        with_targets: rows are to be learned from; without, columns of targets may be there and are not looked at.
        kept_bytes: of inputs in memory; more of them go into a temporary file. None refuses more than MOST_BYTES.

    Raises:
        DataError: the file cannot be read, or does not fit; the first column and row are named.
    """
    used = schema.features + (schema.targets if with_targets else ())
    require_columns(file, used)
    encoder = TableEncoder(schema)
    width = len(encoder.feature_names)
    most_rows = MOST_BYTES // (4 * width)
    store = RowStore(width, MOST_BYTES if kept_bytes is None else kept_bytes)
    targets, places = [], []
    others: dict[str, int] = {}
    for first, cleaned in _cleaned(file, schema, used, others):
        if kept_bytes is None and first + len(cleaned) > most_rows:
            raise DataError(
                f"{file.path} has more than {most_rows:,} rows of {width} inputs, "
                f"{MOST_BYTES >> 30} GB; give fewer rows, or fewer columns (role ignore)"
            )
        store.add(encoder.features(cleaned))
        places.append(_places(cleaned, schema))
        if with_targets:
            targets.append(encoder.targets(cleaned))
    if not places:
        raise DataError(f"{file.path} has no rows below its first line; is it the right file?")
    rows = store.finished()
    return Table(
        rows.values,
        np.concatenate(targets) if with_targets else None,
        np.concatenate(places),
        tuple(_notes(file, schema, encoder, others)),
        rows.content,
    )


def require_columns(file: TableFile, used: Sequence[Column]) -> None:
    """Refuse a file without these columns."""
    missing = [column.name for column in used if column.name not in file.names]
    if missing:
        hint = suggest(missing[0], [name for name in file.names if name][:30])
        raise DataError(f"{file.path} lacks {len(missing)} column(s) of the schema: {listed(missing)} {hint}")


def _cleaned(
    file: TableFile, schema: TableSchema, used: Sequence[Column], others: dict[str, int]
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Rows before a chunk, and its columns as the schema has them; others counts values that became the other one."""
    import pandas as pd

    for first, chunk in file.chunks():
        columns = {}
        for column in used:
            columns[column.name], count = clean_column(file, schema, column, chunk, first)
            if count:
                others[column.name] = others.get(column.name, 0) + count
        if len(chunk):
            yield first, pd.DataFrame(columns)


def clean_column(
    file: TableFile, schema: TableSchema, column: Column, chunk: pd.DataFrame, first: int
) -> tuple[NDArray[Any], int]:
    """As values.clean, with file, column and row in the message. first: rows before the chunk."""
    try:
        return clean(column, chunk[column.name], set(schema.missing_values), file.format.decimal)
    except RowError as error:
        raise DataError(
            f"{file.path}, column {quoted(column.name)}, row {first + error.row + 1}: {error.reason}"
        ) from None
    except DataError as error:
        raise DataError(f"{file.path}, column {quoted(column.name)}: {error}; give it role ignore") from error


def _places(cleaned: pd.DataFrame, schema: TableSchema) -> NDArray[np.float64]:
    import pandas as pd

    of_features = cleaned[[column.name for column in schema.features]]
    hashed = np.asarray(pd.util.hash_pandas_object(of_features, index=False, hash_key=_HASH_KEY), np.uint64)
    places: NDArray[np.float64] = (hashed >> np.uint64(11)).astype(np.float64) / 2.0**53
    return places


def _notes(file: TableFile, schema: TableSchema, encoder: TableEncoder, others: dict[str, int]) -> Iterator[str]:
    known = {column.name for column in schema.columns}
    extra = [name or "(no name)" for name in file.names if name not in known]
    if extra:
        yield f"{file.path.name}: not in the schema and not used: {listed(extra)}"
    for name, count in others.items():
        yield f"{file.path.name}: {count} unknown values of {quoted(name)} count as its other category"
    cut = encoder.cut.most_common(_MOST_CUT)
    if cut:
        columns = ", ".join(f"{quoted(name)} ({count})" for name, count in cut)
        yield f"{file.path.name}: values more than {schema.limit:g} scales from the centre are cut to that: {columns}"
