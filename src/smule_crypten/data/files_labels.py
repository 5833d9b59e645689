"""A table of labels beside image files: CSV with a column `file` and one or several columns of labels.

The names in `file` are paths from the folder of the data, as train/0001.png. One column of text or whole numbers holds
classes, several columns of 0 and 1 hold the labels that an image has or has not, others hold targets of a regression.
"""

from __future__ import annotations

import csv
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import torch

from smule_crypten.data.target_arrays import class_numbers
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.names import listed, printable, shown

TargetKind = Literal["categorical", "boolean", "numeric"]

FILE_COLUMN = "file"


@dataclass(frozen=True)
class LabelFile:
    """The chosen columns.

    Attributes:
        rows: file, as `key_of` writes it, -> its line, and its values as text.
    """

    path: Path
    columns: tuple[str, ...]
    rows: dict[str, tuple[int, tuple[str, ...]]]


@dataclass(frozen=True)
class Labels:
    """How the texts of a file become targets. names: of the classes, the labels or the targets."""

    file: LabelFile
    kind: TargetKind
    names: tuple[str, ...]

    def targets(self, keys: Sequence[str]) -> torch.Tensor:
        """Of these files, as target_arrays.py has them.

        Raises:
            DataError: a class is none of the names.
        """
        texts = [self.file.rows[key][1] for key in keys]
        if self.kind == "categorical":
            return class_numbers([text for (text,) in texts], self.names, printable(str(self.file.path)))
        return torch.tensor([[float(text) for text in row] for row in texts], dtype=torch.float32)


def key_of(path: str) -> str:
    """A relative path as one text, however a system writes it."""
    parts = path.strip().replace("\\", "/").split("/")
    return unicodedata.normalize("NFC", "/".join(part for part in parts if part not in ("", ".")))


def read_labels(path: Path, columns: Sequence[str] | None) -> LabelFile:
    """Read the table.

    Args:
        columns: those that hold labels; None takes all but `file`.

    Raises:
        DataError: it cannot be read, names a file twice, or lacks a column or a value.
    """
    where = printable(str(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _parsed(file, path, columns)
    except OSError as error:
        raise DataError(f"cannot read {where} ({error.strerror}); set data.options.labels to a CSV file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {where} (it is no text in UTF-8); save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise DataError(f"cannot read {where} ({shown(str(error))}); save it as CSV again") from error


def _parsed(file: IO[str], path: Path, columns: Sequence[str] | None) -> LabelFile:
    where, reader = printable(str(path)), csv.reader(file, strict=True)
    header = [name.strip() for name in next(reader, [])]
    if header.count(FILE_COLUMN) != 1:
        raise DataError(
            f"{where}: its first line has the columns {listed(header)}; one must be called {FILE_COLUMN!r}, with "
            "commas between them"
        )
    chosen = [name for name in header if name != FILE_COLUMN] if columns is None else list(columns)
    if not chosen or any(header.count(name) != 1 for name in (*chosen, FILE_COLUMN)) or len(set(chosen)) < len(chosen):
        raise DataError(
            f"{where}: columns of labels are to be {listed(chosen)}, the first line has {listed(header)}; name each of "
            "them once, and in data.options.label_columns those that count"
        )
    places = [header.index(name) for name in chosen]
    rows: dict[str, tuple[int, tuple[str, ...]]] = {}
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(
                f"{where}, line {reader.line_num}: {len(row)} values in place of {len(header)}; repair that line"
            )
        key = key_of(row[header.index(FILE_COLUMN)])
        if key in rows:
            raise DataError(
                f"{where}, line {reader.line_num}: {shown(key)} is in line {rows[key][0]}, too; keep one of them"
            )
        values = tuple(row[place].strip() for place in places)
        if "" in values:
            raise DataError(
                f"{where}, line {reader.line_num}: column {shown(chosen[values.index('')])} is empty; fill it, or "
                "remove the line"
            )
        rows[key] = (reader.line_num, values)
    if not rows:
        raise DataError(f"{where} names no files; give it a line for each")
    return LabelFile(path, tuple(chosen), rows)


def understood(file: LabelFile, kind: TargetKind | None, class_names: Sequence[str] | None) -> Labels:
    """What the texts mean.

    Args:
        kind: None finds out: see the top of this module.
        class_names: the classes of one column in order of their numbers; None takes all that occur, in order.

    Raises:
        ConfigError: classes are named where there are none.
        DataError: a value is none of its kind.
    """
    kind = kind or _kind(file)
    if kind == "categorical":
        if len(file.columns) > 1:
            raise DataError(
                f"{printable(str(file.path))}: {len(file.columns)} columns of classes ({listed(file.columns)}); choose "
                "one by data.options.label_columns, or write 0 and 1"
            )
        return Labels(file, kind, tuple(class_names or _in_order({values[0] for _, values in file.rows.values()})))
    if class_names is not None:
        raise ConfigError(
            "data.options.class_names: has no effect, labels and targets are called as their columns; leave it out"
        )
    for line, values in file.rows.values():
        for name, text in zip(file.columns, values, strict=True):
            number = _number(text)
            if number is None or (kind == "boolean" and number not in (0, 1)):
                what = "neither 0 nor 1" if kind == "boolean" else "no finite number"
                raise DataError(
                    f"{printable(str(file.path))}, line {line}: column {shown(name)} is {what}; fix it, choose "
                    "columns by data.options.label_columns, or set data.options.target_kind"
                )
    return Labels(file, kind, file.columns)


def _kind(file: LabelFile) -> TargetKind:
    numbers = [_number(text) for _, values in file.rows.values() for text in values]
    if len(file.columns) > 1:
        return "boolean" if all(number in (None, 0, 1) for number in numbers) else "numeric"
    if None in numbers or all(text.lstrip("+-").isdecimal() for _, (text,) in file.rows.values()):
        return "categorical"
    return "numeric"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _in_order(names: set[str]) -> list[str]:
    """Whole numbers by their value, text by the alphabet."""
    if all(name.lstrip("+-").isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)
