"""One column of a chunk: from what a file holds to texts, numbers or truth values, or the first row that is wrong."""

from __future__ import annotations

from collections.abc import Collection
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


class Values:
    """A column as texts, by its different values.

    Attributes:
        codes: (N) the number of each row's text; -1 where the value is missing.
        texts: the different texts, without space around them, in Unicode's composed form.
    """

    def __init__(self, stored: pd.Series[Any], missing_values: Collection[str]) -> None:
        import pandas as pd

        try:
            codes, different = pd.factorize(np.asarray(stored, dtype=object), use_na_sentinel=True)
        except TypeError as error:
            raise DataError("holds lists or other nested values; a table has one value a row and column") from error
        renamed = np.full(
            len(different) + 1, -1, np.int64
        )  # the last one stands for what the file itself says is missing
        numbers: dict[str, int] = {}
        for position, value in enumerate(different):
            text = _text(value)
            if text not in missing_values:
                renamed[position] = numbers.setdefault(text, len(numbers))
        self.codes: NDArray[np.int64] = renamed[codes]
        self.texts = list(numbers)

    def numbers(self, decimal: str = "point") -> tuple[Floats, Floats]:
        """(N) values as numbers, NaN where missing or no number; and the numbers of the different texts."""
        import pandas as pd

        texts = [text.replace(",", ".") for text in self.texts] if decimal == "comma" else self.texts
        of_text = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(np.float64)
        return self.spread(of_text, np.nan), of_text

    def spread(self, of_text: NDArray[Any], missing: Any) -> NDArray[Any]:
        """(N) what belongs to the text of each row."""
        return np.append(of_text, missing)[self.codes] if len(of_text) else np.full(len(self.codes), missing)

    def first_row(self, is_bad: NDArray[np.bool_]) -> tuple[int, str] | None:
        """The first row of a text that is bad, and the text."""
        rows = self.spread(is_bad, False).astype(bool).nonzero()[0]
        return (int(rows[0]), self.texts[self.codes[rows[0]]]) if len(rows) else None


def _text(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))  # a whole number beside missing ones, as Parquet hands it over
    return composed(str(value))


def is_inexact(texts: list[str], numbers: Floats) -> NDArray[np.bool_]:
    """(texts) whether it is a whole number that a floating-point number does not hold."""
    large = np.abs(numbers) > _EXACT
    return np.array(
        [bool(is_large) and text.lstrip("+-").isdigit() for text, is_large in zip(texts, large, strict=True)], bool
    )


def clean(column: Column, values: Values, decimal: str) -> tuple[NDArray[Any], int]:
    """A column as the schema has it: numbers (NaN where missing), or texts ("" where missing); and how many are other.

    Raises:
        DataError: a value does not fit; the message goes on after the name of the file. Rows count from 0.
    """
    _refuse_missing(column, values)
    if column.kind == "categorical":
        return _categories(column, values)
    if column.kind == "boolean":
        truth = np.array([BOOLEANS.get(text.lower(), np.nan) for text in values.texts], np.float64)
        _refuse(column, values, np.isnan(truth), "is neither true nor false (yes/no, 1/0, y/n, t/f)")
        return values.spread(truth, np.nan), 0
    numbers, of_text = values.numbers(decimal)
    remedy = "mend it, or name it among missing_values of the schema"
    _refuse(column, values, np.isnan(of_text), f"is no number; {remedy}")
    _refuse(column, values, np.isinf(of_text), f"is infinite; {remedy}")
    inexact = is_inexact(values.texts, of_text)
    _refuse(column, values, inexact, "is beyond 2^53, where whole numbers are not exact; an id? give it role ignore")
    return numbers, 0


def _categories(column: Column, values: Values) -> tuple[NDArray[Any], int]:
    known = set(column.categories)
    unknown = np.array([text not in known for text in values.texts], bool)
    if column.other is None:
        ways = "" if column.role == "target" else ", or name one of them as other"
        _refuse(column, values, unknown, f"is not among the categories of the schema; add it at both parties{ways}")
    texts = [column.other if is_unknown else text for text, is_unknown in zip(values.texts, unknown, strict=True)]
    others = int(values.spread(unknown, False).astype(bool).sum())
    return values.spread(np.array(texts, object), ""), others


class RowError(DataError):
    """row: in the chunk, from 0; reason: without the row."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason


def _refuse(column: Column, values: Values, is_bad: NDArray[np.bool_], why: str) -> None:
    found = values.first_row(is_bad)
    if found is not None:
        raise RowError(found[0], f"{quoted(found[1])} {why}")


def _refuse_missing(column: Column, values: Values) -> None:
    rows = (values.codes < 0).nonzero()[0]
    if len(rows) == 0 or column.missing:
        return
    if column.role == "target":
        raise RowError(int(rows[0]), "has no value, and it is to be predicted; fill it in, or leave the row out")
    raise RowError(int(rows[0]), "has no value; fill it in, or set missing: true in the schema of both parties")
