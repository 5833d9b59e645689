"""A table as a file: CSV or Parquet, read in chunks of rows, as text, by the names of its columns."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from smule_crypten.config.options import one_line
from smule_crypten.config.sections import Section
from smule_crypten.errors import DataError, printable, quoted
from smule_crypten.tables.schema import composed

if TYPE_CHECKING:
    import pandas as pd

CHUNK_ROWS = 20_000
"""So many rows are in memory as text at a time."""
PARQUET = (".parquet", ".pq")
SUFFIXES = (".csv", ".tsv", ".txt", *PARQUET)
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MOST_SHOWN = 5


class CsvFormat(Section):
    """How a CSV file is written."""

    separator: Literal["comma", "semicolon", "tab", "bar"] = "comma"
    """Of a CSV file: what stands between two values."""
    encoding: str = "utf-8"
    """Of a CSV file: latin-1, cp1252 and others."""
    decimal: Literal["point", "comma"] = "point"
    """Of a CSV file: the sign before the decimals of a number."""

    @property
    def separator_sign(self) -> str:
        return _SEPARATORS[self.separator]


@dataclass(frozen=True)
class TableFile:
    """A table whose first line was looked at.

    Attributes:
        names: of the columns, composed; "" where a column has none.
    """

    path: Path
    format: CsvFormat
    names: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, format: CsvFormat) -> TableFile:
        """Look at a file.

        Raises:
            DataError: it is no table that can be read, or two of its columns have the same name.
        """
        if not path.is_file():
            raise DataError(f"cannot read {path} ({'no such file' if not path.exists() else 'no regular file'})")
        if path.suffix.lower() in PARQUET:
            with _said_of(path):
                names = list(_parquet(path).schema_arrow.names)
        else:
            names = _csv_header(path, format)
        names = [composed(name) for name in names]
        strange = [number for number, name in enumerate(names, 1) if name and not name.isprintable()]
        if strange:
            raise DataError(f"{path}: the name of column {strange[0]} has characters that cannot be printed; rename it")
        doubles = sorted({name for name in names if name and names.count(name) > 1})
        if doubles:
            raise DataError(f"{path}: two columns are called {quoted(doubles[0])}; give each a name of its own")
        return cls(path, format, tuple(names))

    def chunks(self) -> Iterator[tuple[int, pd.DataFrame]]:
        """The number of rows before a chunk, and the chunk; columns are called as in `names`, values are as stored.

        Raises:
            DataError: the file cannot be read to its end.
        """
        rows = 0
        with _said_of(self.path):
            for chunk in self._parts():
                chunk.columns = list(self.names)
                yield rows, chunk
                rows += len(chunk)

    def _parts(self) -> Iterator[pd.DataFrame]:
        if self.path.suffix.lower() in PARQUET:
            for batch in _parquet(self.path).iter_batches(batch_size=CHUNK_ROWS):
                yield batch.to_pandas()
            return
        import pandas as pd

        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would be cut
            with pd.read_csv(
                self.path,
                sep=self.format.separator_sign,
                encoding=_encoding(self.format),
                header=0,
                index_col=False,
                dtype=object,
                keep_default_na=False,
                na_filter=False,
                chunksize=CHUNK_ROWS,
            ) as reader:
                yield from reader


class _said_of:
    """What a library says of a damaged file, as an error of one line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, DataError) or not isinstance(error, Exception):
            return
        if isinstance(error, UnicodeDecodeError):
            raise _wrong_encoding(self.path, error.encoding) from error
        if isinstance(error, MemoryError):
            raise DataError(f"{self.path} does not fit into memory; give fewer rows") from error
        if "loss of data" in str(error):
            raise DataError(
                f"{self.path}: rows have more values than the first line has names; name all columns"
            ) from error
        raise DataError(f"cannot read {self.path} ({printable(one_line(error))}); write it again") from error


def _parquet(path: Path) -> Any:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise DataError(f"{path}: Parquet needs pyarrow; pip install 'smule-crypten[parquet]'") from error
    return ParquetFile(path)


def _encoding(format: CsvFormat) -> str:
    """UTF-8 with or without a byte order mark."""
    return "utf-8-sig" if format.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else format.encoding


def _csv_header(path: Path, format: CsvFormat) -> list[str]:
    """The names in the first line, by the rules of CSV: pandas would rename those that occur twice."""
    with path.open("rb") as binary:
        start = binary.read(4096)
    if start[:2] in _WIDE_MARKS and not format.encoding.lower().startswith("utf-16"):
        raise DataError(f"{path} is UTF-16; set data.options.encoding=utf-16")
    if b"\0" in start and not format.encoding.lower().startswith(("utf-16", "utf-32")):
        raise DataError(f"{path} is no text, so no CSV file; Parquet files are called .parquet")
    try:
        with path.open(encoding=_encoding(format), newline="") as file:
            names = next((row for row in csv.reader(file, delimiter=format.separator_sign) if row), [])
    except LookupError as error:
        raise DataError(f"data.options.encoding: {quoted(format.encoding)} is unknown; utf-8 or latin-1?") from error
    except UnicodeError as error:
        raise _wrong_encoding(path, format.encoding) from error
    except csv.Error as error:
        raise DataError(f"cannot read {path} ({printable(str(error))}); write it again as CSV") from error
    if not names:
        raise DataError(f"{path} is empty; its first line must name the columns")
    if len(names) == 1:
        _refuse_other_separator(path, names[0], format.separator)
    return names


def _refuse_other_separator(path: Path, line: str, used: str) -> None:
    for called, separator in _SEPARATORS.items():
        if called != used and separator in line:
            raise DataError(
                f"{path}: one column found, called {quoted(line[:60])}; are values separated otherwise? "
                f"set data.options.separator={called}"
            )


def _wrong_encoding(path: Path, encoding: str) -> DataError:
    return DataError(
        f"{path} is not {encoding.removesuffix('-sig')}; set data.options.encoding, to latin-1 or cp1252 for instance"
    )


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(quoted(name) for name in names[:_MOST_SHOWN]) + more
