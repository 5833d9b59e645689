"""The public schema of a table: what each column means, and the constants that turn a row into numbers.

Two parties that use the same schema mean the same by each input of a network and by each class. It is compared in the
handshake, so it holds nothing that the other party may not read.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from smule_crypten.config.sections import Section

Role = Literal["feature", "target", "ignore"]
Kind = Literal["numeric", "boolean", "categorical"]

BLANK = "???"
"""Stands in a drafted schema where somebody has to fill in something."""
MISSING_VALUES = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
BOOLEANS = {"false": 0.0, "no": 0.0, "n": 0.0, "f": 0.0, "0": 0.0}
BOOLEANS |= {"true": 1.0, "yes": 1.0, "y": 1.0, "t": 1.0, "1": 1.0}
"""What a boolean column may hold, in lower case."""


def composed(text: str) -> str:
    """`text` without space around it, on one line, in Unicode's composed form: a name may be spelled in two ways."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


class _Written(Section):
    """A file holds texts alone, so that `No` and `1` stay what they are; they become numbers here."""

    model_config = ConfigDict(strict=False)


class Column(_Written):
    """One column.

    Numeric features become (value - centre) / scale, booleans -1 and +1, categories one input each. A missing value
    counts as the centre, or as no category, and where missing is set one further input tells of it.
    """

    name: str
    """As the first line of the file has it, without space around it."""
    role: Role = "feature"
    """What the column is used for."""
    kind: Kind | None = None
    """How its values are read; null where it is ignored."""
    centre: float | None = None
    """Of a numeric column: what is taken off, the mean for instance; of a target its public mean."""
    scale: float | None = Field(default=None, gt=0)
    """Of a numeric column: what is divided by, the standard deviation for instance; of a target likewise."""
    categories: tuple[str, ...] = ()
    """Of a categorical column: all values, in the order of the inputs or class numbers."""
    other: str | None = None
    """The category that stands for all values that are not listed; null refuses them."""
    missing: bool = False
    """Whether values may be missing; a feature has an input for it then."""

    @field_validator("name", "other")
    @classmethod
    def _one_spelling(cls, value: str | None) -> str | None:
        return None if value is None else _usable(value)

    @field_validator("categories")
    @classmethod
    def _one_spelling_each(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(map(_usable, values))
        if doubles := _doubles(names):
            raise ValueError(f"{doubles[0]!r} is listed twice")
        return names

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.role == "ignore":
            return self
        if self.kind is None:
            raise ValueError("kind must be given: numeric, boolean or categorical")
        is_numeric, is_categorical = self.kind == "numeric", self.kind == "categorical"
        if is_numeric != (self.centre is not None) or is_numeric != (self.scale is not None):
            raise ValueError(f"centre and scale {'must be given' if is_numeric else 'belong to numeric columns'}")
        if is_categorical != (len(self.categories) >= 2):
            text = "two or more categories must be given" if is_categorical else "categories belong to categorical ones"
            raise ValueError(text)
        if self.other is not None and (self.other not in self.categories or self.role == "target"):
            raise ValueError("other must be one of the categories of a feature")
        if self.missing and self.role == "target":
            raise ValueError("missing: a target is never missing")
        return self

    def written(self) -> dict[str, Any]:
        """What a file says of it: all that is not the default."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        return {"name": self.name, "role": self.role} | values


class TableSchema(_Written):
    """All columns, in the order of the inputs.

    The task follows from the targets: one categorical or boolean column is a classification, several boolean ones
    several labels, numeric ones a regression.
    """

    columns: tuple[Column, ...]
    missing_values: tuple[str, ...] = MISSING_VALUES
    """Texts that stand for a missing value."""
    limit: float = Field(default=10.0, gt=0)
    """Standardised values beyond it are cut to it, so that no outlier leaves the range of fixed point."""

    @field_validator("missing_values")
    @classmethod
    def _one_spelling(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(composed, values))

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if doubles := _doubles(column.name for column in self.columns):
            raise ValueError(f"column {doubles[0]!r} is listed twice")
        if not self.features:
            raise ValueError("no column has role feature")
        kinds = {column.kind for column in self.targets}
        if not self.targets:
            raise ValueError("no column has role target")
        if len(self.targets) > 1 and kinds not in ({"boolean"}, {"numeric"}):
            raise ValueError("several targets must all be boolean (labels) or all numeric (regression)")
        return self

    @property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.role == "feature")

    @property
    def targets(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.role == "target")

    @property
    def task(self) -> Literal["classification", "multilabel", "regression"]:
        if self.targets[0].kind == "numeric":
            return "regression"
        return "classification" if len(self.targets) == 1 else "multilabel"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the outputs of a network: the classes, or the columns that are predicted."""
        if self.task != "classification":
            return tuple(column.name for column in self.targets)
        return self.targets[0].categories or ("false", "true")

    def public(self) -> dict[str, str]:
        """What the parties compare, in one text a column that is used: a difference is then named by its column."""
        used = [column for column in self.columns if column.role != "ignore"]
        texts = {column.name: f"{number}. {_canonical(column.written())}" for number, column in enumerate(used, 1)}
        return texts | {"(missing values)": _canonical(sorted(self.missing_values)), "(limit)": _canonical(self.limit)}


def _canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _usable(text: str) -> str:
    name = composed(text)
    if not name or not name.isprintable():
        raise ValueError(f"{text!r} is no name; use letters that can be printed")
    return name


def _doubles(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
