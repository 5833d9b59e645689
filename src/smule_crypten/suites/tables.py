"""How a suite makes the tables that suites/benchmark.py shows."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from smule_crypten.suites.suite_records import Cell, CurvePoint, ResultTable

Basis = Literal["measured", "predicted", "extrapolated", "published", "not possible"]
"""measured: counted or timed in this suite. predicted: by a formula that tests hold to the counters, without running.
extrapolated: measured figures times a number. published: by others."""


def table(
    title: str,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Mapping[str, Cell]],
    note: str = "",
    on_terminal: Sequence[str] | None = None,
) -> ResultTable:
    """As ResultTable says; on_terminal is None for all columns. A row without a basis was measured."""
    keys = [key for key, _ in columns] if on_terminal is None else list(on_terminal)
    complete = [{"basis": "measured", **row} for row in rows]
    return ResultTable(title=title, columns=list(columns), on_terminal=keys, rows=complete, note=note)


def mean_curve(curves: Iterable[Sequence[Mapping[str, Any]]]) -> list[CurvePoint]:
    """Of parties that sent as much: their mean accuracy, and the later time."""
    return [
        CurvePoint(
            epoch=points[0]["epoch"],
            accuracy=statistics.mean(point["accuracy"] for point in points),
            bytes=points[0]["bytes"],
            seconds=max(point["seconds"] for point in points),
        )
        for points in zip(*curves, strict=True)
    ]


def mean_of(values: Iterable[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None
