"""What a column seems to be, by its profile: as it would be in a schema, or why somebody has to say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from smule_crypten.errors import quoted
from smule_crypten.tables.profile import MOST_CATEGORIES, MOST_CLASSES, ColumnProfile
from smule_crypten.tables.schema import BOOLEANS, Kind


@dataclass(frozen=True)
class Proposal:
    """A column of a schema.

    Attributes:
        kind: None where the column is left out.
        values: what of the data would be in the schema: centre and scale, or categories.
        note: why it is left out.
        doubt: why no kind can be proposed.
    """

    name: str
    role: str
    kind: Kind | None = None
    values: dict[str, Any] | None = None
    missing: bool = False
    note: str | None = None
    doubt: str | None = None

    @property
    def column(self) -> dict[str, Any]:
        """As a schema has it, values included."""
        found: dict[str, Any] = {"name": self.name, "role": self.role}
        if self.kind is not None:
            found |= {"kind": self.kind, **(self.values or {})}
        return found | ({"missing": True} if self.missing else {})


def propose_feature(found: ColumnProfile) -> Proposal:
    """What to make of a column that nothing is known of."""
    if reason := _useless(found):
        return Proposal(found.name, "ignore", note=reason)
    if reason := _doubtful(found):
        return Proposal(found.name, "feature", doubt=reason)
    if found.is_boolean:
        return Proposal(found.name, "feature", "boolean", missing=found.missing > 0)
    if found.is_numeric:
        return Proposal(found.name, "feature", "numeric", _constants(found), found.missing > 0)
    categories = {"categories": list(found.sorted_values())}
    return Proposal(found.name, "feature", "categorical", categories, found.missing > 0)


def propose_targets(found: Sequence[ColumnProfile], wanted: Kind | None) -> list[Proposal]:
    """What to make of the columns that are to be predicted.

    Args:
        wanted: the kind, where somebody says it.
    """
    kind = wanted or _kind_of(found)
    return [_propose_target(column, kind) for column in found]


def _propose_target(found: ColumnProfile, kind: Kind) -> Proposal:
    if found.known == 0:
        return Proposal(found.name, "target", doubt="has no values; name the column to predict")
    if found.first_bad is not None and kind == "numeric":
        return Proposal(found.name, "target", doubt=_bad(found))
    if kind == "numeric" and not found.is_numeric:
        _, text = found.first_text or (0, "")
        return Proposal(found.name, "target", doubt=f"holds {quoted(text)}, which is no number")
    if found.is_constant and kind != "boolean":
        reason = f"holds {quoted(found.sorted_values()[0])} only; there is nothing to learn"
        return Proposal(found.name, "target", doubt=reason)
    if kind == "numeric":
        return Proposal(found.name, "target", kind, _constants(found))
    if kind == "boolean":
        return Proposal(found.name, "target", kind)
    if not found.has_few_values:
        ways = (
            "numbers; are they to be learned by task=regression?" if found.is_numeric else "texts, an id or free text"
        )
        return Proposal(found.name, "target", doubt=f"holds more than {MOST_CATEGORIES} different {ways}")
    return Proposal(found.name, "target", kind, {"categories": list(found.sorted_values())})


def _kind_of(found: Sequence[ColumnProfile]) -> Kind:
    if len(found) > 1:
        are_labels = all({text.lower() for text in column.values} <= set(BOOLEANS) for column in found)
        return "boolean" if are_labels else "numeric"
    (column,) = found
    has_classes = not column.is_numeric or (column.is_whole and len(column.values) <= MOST_CLASSES)
    return "categorical" if has_classes else "numeric"


def _useless(found: ColumnProfile) -> str | None:
    if found.known == 0:
        return "all its values are missing"
    if found.is_constant:
        return "it has one value only"
    return "it only numbers the rows" if found.is_id else None


def _doubtful(found: ColumnProfile) -> str | None:
    if found.is_date:
        return "holds dates; turn them into numbers, days since a date for instance"
    if found.first_bad is not None:
        return _bad(found)
    if found.first_text is not None and not found.has_few_values:
        row, text = found.first_text
        if found.numbers * 2 > found.known:
            return f"holds numbers, but {quoted(text)} in row {row}; does that stand for a missing value?"
        return f"holds text with more than {MOST_CATEGORIES} different values, an id or free text"
    return None


def _bad(found: ColumnProfile) -> str:
    row, text = found.first_bad or (0, "")
    reason = "is infinite" if not math.isfinite(float(text.replace(",", "."))) else "is beyond 2^53, perhaps an id"
    return f"row {row}: {quoted(text)} {reason}"


def _constants(found: ColumnProfile) -> dict[str, float]:
    """Mean and standard deviation with two digits of the latter: schemas need no more, and tell no more."""
    digits = 1 - math.floor(math.log10(found.std))
    return {"centre": round(found.mean, digits) + 0.0, "scale": round(found.std, digits)}
