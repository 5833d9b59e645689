"""What a table holds, found in one pass over its chunks: kinds, constants and categories of its columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from smule_crypten.errors import DataError, quoted
from smule_crypten.tables.schema import BOOLEANS
from smule_crypten.tables.source import TableFile
from smule_crypten.tables.values import Floats, Numbers, Texts

MOST_CATEGORIES = 50
"""A text column of more different values is no list of categories, unless somebody lists them."""
MOST_CLASSES = 20
"""Whole numbers of so many different values, in a column that is to be predicted, are classes."""
_LOOKED_AT = 10 * MOST_CATEGORIES
"""Different values of a chunk that are looked at as texts: those of more are no categories."""
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}([ T].*)?")


class ColumnProfile:
    """What one column holds.

    Attributes:
        rows, missing: how many.
        values: the different texts, up to MOST_CATEGORIES + 1 of them.
        numbers: how many rows hold a number.
        first_text: the first value that is no number, and its row.
        is_whole, is_counter, is_date: all numbers are whole; each is the one before plus 1; all texts are dates.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = self.missing = self.numbers = 0
        self.values: set[str] = set()
        self.first_text: tuple[int, str] | None = None
        self.first_bad: tuple[int, str] | None = None
        self.is_whole = self.is_counter = self.is_date = True
        self._last: float | None = None
        self._mean = self._squares = 0.0

    def add(self, stored: Any, first: int, missing_values: Collection[str], decimal: str) -> None:
        """Take in the values of a chunk. first: rows before it."""
        numbers = Numbers.of(stored, missing_values, decimal)
        self.rows += len(numbers.values)
        self.missing += int(numbers.is_missing.sum())
        self.first_text = self.first_text or _placed(numbers.first(numbers.is_text), first)
        self.first_bad = self.first_bad or _placed(numbers.first(np.isinf(numbers.values) | numbers.is_inexact), first)
        if self.has_few_values or self.is_date:
            texts = Texts(stored.drop_duplicates().iloc[:_LOOKED_AT], missing_values).texts
            self.is_date = self.is_date and all(_DATE.fullmatch(text) for text in texts)
            room = MOST_CATEGORIES + 1 - len(self.values)
            self.values.update([text for text in texts if text not in self.values][:room])
        self._take_in(numbers.values[np.isfinite(numbers.values)], has_gap=bool(np.isnan(numbers.values).any()))

    def _take_in(self, numbers: Floats, *, has_gap: bool) -> None:
        """Means and squares of parts, put together as Chan, Golub and LeVeque do, which is accurate far from 0."""
        count = len(numbers)
        if count == 0:
            return
        self.is_whole = self.is_whole and bool((numbers == np.floor(numbers)).all())
        steps = np.diff(numbers if self._last is None else np.append(self._last, numbers))
        self.is_counter = self.is_counter and not has_gap and bool((steps == 1).all())
        self._last = float(numbers[-1])
        mean = float(numbers.mean())
        total, difference = self.numbers + count, mean - self._mean
        self._squares += float(((numbers - mean) ** 2).sum()) + difference**2 * self.numbers * count / total
        self._mean += difference * count / total
        self.numbers = total

    @property
    def known(self) -> int:
        """How many rows hold a value."""
        return self.rows - self.missing

    @property
    def is_numeric(self) -> bool:
        return self.first_text is None and self.known > 0

    @property
    def is_boolean(self) -> bool:
        lower = {text.lower() for text in self.values}
        return len(lower) == 2 and lower <= set(BOOLEANS) and {BOOLEANS[text] for text in lower} == {0.0, 1.0}

    @property
    def is_constant(self) -> bool:
        return len(self.values) <= 1

    @property
    def is_id(self) -> bool:
        """Whether it only counts the rows."""
        counts = self.is_numeric and self.is_counter and self.is_whole and self.first_bad is None
        return counts and self.known > MOST_CATEGORIES

    @property
    def has_few_values(self) -> bool:
        return len(self.values) <= MOST_CATEGORIES

    @property
    def mean(self) -> float:
        return self._mean

    @property
    def std(self) -> float:
        return float(np.sqrt(self._squares / max(1, self.numbers)))

    def sorted_values(self) -> tuple[str, ...]:
        """Numbers by size, texts by their letters."""
        return tuple(sorted(self.values, key=(lambda text: (float(text), text)) if self.is_numeric else None))


def profile(
    files: Sequence[TableFile], columns: Collection[str], missing_values: Collection[str]
) -> dict[str, ColumnProfile]:
    """The profile of each of these columns over all files, rows of one file after those of the other.

    Raises:
        DataError: a file cannot be read or has no rows, or a column holds nested values.
    """
    found = {name: ColumnProfile(name) for name in columns}
    for file in files:
        rows = 0
        for first, chunk in file.chunks():
            rows = first + len(chunk)
            for name, of_column in found.items():
                try:
                    of_column.add(chunk[name], first, missing_values, file.format.decimal)
                except DataError as error:
                    raise DataError(f"{file.path}, column {quoted(name)}: {error}; leave it out") from error
        if rows == 0:
            raise DataError(f"{file.path} has no rows below its first line; is it the right file?")
    return found


def _placed(found: tuple[int, str] | None, first: int) -> tuple[int, str] | None:
    return None if found is None else (first + found[0] + 1, found[1])
