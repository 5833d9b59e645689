#!/usr/bin/env python3
"""Write the tables of docs/results.md from the types that are recorded. With --check it only looks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from smule_crypten.prediction import answer_records
from smule_crypten.report import evaluation_records, records, run_records
from smule_crypten.report.record import Record

DOCUMENT = Path(__file__).parents[1] / "docs" / "results.md"
WORDS = {bool: "true or false", int: "int", float: "number", str: "text"}
ROOTS: dict[str, tuple[type[Record], type[Record] | None]] = {
    "summary": (run_records.RunSummary, None),
    "party": (records.PartyRecord, run_records.PartySummary),
    "epoch": (records.EpochRecord, None),
    "evaluation": (evaluation_records.EvaluationRecord, None),
    "figure": (evaluation_records.MetricRecord, None),
    "prediction": (answer_records.PredictionRecord, None),
    "estimate": (answer_records.EstimateRecord, answer_records.AskedRecord),
}
"""Name of a table -> what it shows, less the keys of what another table shows."""
APART: tuple[type[Record], ...] = (evaluation_records.EvaluationRecord, evaluation_records.MetricRecord)
"""Records that stand in many places, and are shown in tables of their own."""


def main() -> int:
    written = DOCUMENT.read_text(encoding="utf-8")
    wanted = filled(written)
    if "--check" in sys.argv[1:]:
        return int(wanted != written)
    DOCUMENT.write_text(wanted, encoding="utf-8")
    return 0


def filled(text: str) -> str:
    """The document with each table between its markers as the types have it."""
    for name, (kind, shown) in ROOTS.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert marked.search(text), f"no place for table {name} in {DOCUMENT}"
        lines = [("Key", "Type", "Meaning"), ("---", "---", "---"), *rows(kind, shown)]
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        text = marked.sub(lambda found, table=table: f"{found[1]}{table}{found[2]}", text)
    return text


def rows(kind: type[Record], shown: type[Record] | None = None, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, type and meaning of all fields; those of a record inside come after it."""
    for name, field in kind.model_fields.items():
        if shown is not None and name in shown.model_fields:
            continue
        if field.description:
            yield f"`{prefix}{name}`", words(field.annotation), field.description
        for suffix, inner in inside(field.annotation):
            yield from rows(inner, None, f"{prefix}{name}{suffix}.")


def inside(annotation: Any) -> Iterator[tuple[str, type[Record]]]:
    """Records that a value of this type holds, and where."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        if annotation not in APART:
            yield "", annotation
    elif get_origin(annotation) is dict:
        yield from ((".{a,b}", kind) for _, kind in inside(get_args(annotation)[1]))
    elif get_origin(annotation) is list:
        yield from (("[]", kind) for _, kind in inside(get_args(annotation)[0]))
    elif get_origin(annotation) in (Union, UnionType, Annotated):
        yield from (found for part in get_args(annotation) for found in inside(part))


def words(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation in WORDS:
        return WORDS[annotation]
    if origin is Annotated:
        return words(parts[0])
    if origin is Literal:
        return words(type(parts[0]))
    if origin in (Union, UnionType):
        found = list(dict.fromkeys(words(part) for part in parts if part is not NoneType))
        return " or ".join([*found, "null"] if NoneType in parts else found)
    if origin is list:
        return f"list of {words(parts[0])}"
    if origin is tuple:
        return f"[{', '.join(map(words, parts))}]"
    if origin is dict:
        return f"text to {words(parts[1])}"
    assert issubclass(annotation, Record), annotation
    return "object"


if __name__ == "__main__":
    sys.exit(main())
