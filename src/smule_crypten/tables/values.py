"""One column of a chunk: from what a file holds to texts, numbers or truth values, or the first row that is wrong."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smule_crypten.errors import DataError, quoted
from smule_crypten.tables.schema import BOOLEANS, Column, composed

if TYPE_CHECKING:
    import pandas as pd

_EXACT = 2.0**53
"""Whole numbers beyond it are rounded as floating-point numbers."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Texts:
    """A column as texts, by its different values.

    Attributes:
        codes: (N) the number of each row's text; -1 where the value is missing.
        texts: the different texts, without space around them, in Unicode's composed form.
    """

    def __init__(self, stored: pd.Series[Any] | NDArray[Any], missing_values: Collection[str]) -> None:
        import pandas as pd

        try:
            codes, different = pd.factorize(np.asarray(stored, dtype=object), use_na_sentinel=True)
        except TypeError as error:
            raise DataError("holds lists or other nested values; a table has one value a row and column") from error
        renamed = np.full(
            len(different) + 1, -1, np.int64
        )  # the last one stands for what the file itself calls missing
        numbers: dict[str, int] = {}
        for position, value in enumerate(different):
            text = _text(value)
            if text not in missing_values:
                renamed[position] = numbers.setdefault(text, len(numbers))
        self.codes: NDArray[np.int64] = renamed[codes]
        self.texts = list(numbers)

    def spread(self, of_text: NDArray[Any], missing: Any) -> NDArray[Any]:
        """(N) what belongs to the text of each row."""
        return np.append(of_text, missing)[self.codes] if len(of_text) else np.full(len(self.codes), missing)


@dataclass(frozen=True)
class Numbers:
    """A column as numbers.

    Attributes:
        stored: as the file has it.
        values: (N) NaN where missing, or no number.
        is_missing: (N).
    """

    stored: pd.Series[Any]
    values: Floats
    is_missing: Bools

    @classmethod
    def of(cls, stored: pd.Series[Any], missing_values: Collection[str], decimal: str) -> Numbers:
        """Most values are numbers as they stand; only those that are not are looked at as texts."""
        import pandas as pd

        values = np.full(len(stored), np.nan)
        if decimal == "point" and _may_be_numbers(stored) and not any(map(_is_number, missing_values)):
            values = pd.to_numeric(stored, errors="coerce").to_numpy(np.float64, na_value=np.nan, copy=True)
        rows = np.isnan(values).nonzero()[0]
        texts = Texts(stored.iloc[rows], missing_values)
        plain = [text.replace(",", ".") for text in texts.texts] if decimal == "comma" else texts.texts
        of_text = pd.to_numeric(pd.Series(plain, dtype=object), errors="coerce").to_numpy(np.float64)
        values[rows] = texts.spread(of_text, np.nan)
        is_missing = np.zeros(len(stored), bool)
        is_missing[rows] = texts.codes < 0
        return cls(stored, values, is_missing)

    @property
    def is_text(self) -> Bools:
        return np.isnan(self.values) & ~self.is_missing

    @property
    def is_inexact(self) -> Bools:
        """Whether it is a whole number that a floating-point number does not hold."""
        found = np.abs(self.values) > _EXACT
        for row in (found & np.isfinite(self.values)).nonzero()[0]:
            found[row] = self.text(int(row)).lstrip("+-").isdigit()
        return found & np.isfinite(self.values)

    def text(self, row: int) -> str:
        return _text(self.stored.iloc[row])

    def first(self, is_wrong: Bools) -> tuple[int, str] | None:
        """The first such row, and its text."""
        rows = is_wrong.nonzero()[0]
        return (int(rows[0]), self.text(int(rows[0]))) if len(rows) else None


def _may_be_numbers(stored: pd.Series[Any]) -> bool:
    """Whether values are numbers or texts; truth values and dates would become numbers that nobody means."""
    return stored.dtype.kind in "iufO" and not isinstance(stored.iloc[0] if len(stored) else "", (bool, np.bool_))


def _is_number(text: str) -> bool:
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def _text(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))  # a whole number beside missing ones, as Parquet hands it over
    return composed(str(value))


def clean(
    column: Column, stored: pd.Series[Any], missing_values: Collection[str], decimal: str
) -> tuple[NDArray[Any], int]:
    """A column as the schema has it: numbers (NaN where missing), or texts ("" where missing); and how many are other.

    Raises:
        RowError: a value does not fit.
        DataError: no value does.
    """
    if column.kind == "numeric":
        return _numbers(column, Numbers.of(stored, missing_values, decimal)), 0
    values = Texts(stored, missing_values)
    _refuse_missing(column, values.codes < 0)
    if column.kind == "categorical":
        return _categories(column, values)
    truth = np.array([BOOLEANS.get(text.lower(), np.nan) for text in values.texts], np.float64)
    _refuse(values, np.isnan(truth), "is neither true nor false (yes/no, 1/0, y/n, t/f)")
    return values.spread(truth, np.nan), 0


def _numbers(column: Column, numbers: Numbers) -> Floats:
    _refuse_missing(column, numbers.is_missing)
    remedy = "fix it, or name it among missing_values of the schema"
    for is_wrong, why in (
        (numbers.is_text, f"is no number; {remedy}"),
        (np.isinf(numbers.values), f"is infinite; {remedy}"),
        (numbers.is_inexact, "is beyond 2^53, where whole numbers are not exact; an id? give it role ignore"),
    ):
        found = numbers.first(is_wrong)
        if found is not None:
            raise RowError(found[0], f"{quoted(found[1])} {why}")
    return numbers.values


def _categories(column: Column, values: Texts) -> tuple[NDArray[Any], int]:
    known = set(column.categories)
    unknown = np.array([text not in known for text in values.texts], bool)
    if column.other is None:
        ways = "" if column.role == "target" else ", or name one of them as other"
        _refuse(values, unknown, f"is not among the categories of the schema; add it at both parties{ways}")
    texts = [column.other if is_unknown else text for text, is_unknown in zip(values.texts, unknown, strict=True)]
    others = int(values.spread(unknown, False).astype(bool).sum())
    return values.spread(np.array(texts, object), ""), others


class RowError(DataError):
    """row: in the chunk, from 0; reason: without the row."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason


def _refuse(values: Texts, is_bad: Bools, why: str) -> None:
    """Refuse the first row whose text is bad."""
    rows = values.spread(is_bad, False).astype(bool).nonzero()[0]
    if len(rows):
        raise RowError(int(rows[0]), f"{quoted(values.texts[values.codes[rows[0]]])} {why}")


def _refuse_missing(column: Column, is_missing: Bools) -> None:
    rows = is_missing.nonzero()[0]
    if len(rows) == 0 or column.missing:
        return
    if column.role == "target":
        raise RowError(int(rows[0]), "has no value, and it is to be predicted; fill it in, or leave the row out")
    raise RowError(int(rows[0]), "has no value; fill it in, or set missing: true in the schema of both parties")
