"""The form in which a suite hands its results to report/benchmark.py: plain values that go to results.json."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Literal

Basis = Literal["measured", "predicted", "extrapolated", "published", "not possible"]
"""measured: counted or timed in this suite. predicted: by a formula that tests hold to the counters, without running.
extrapolated: measured figures times a number. published: by others."""


def table(
    title: str,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[dict[str, Any]],
    note: str = "",
    on_terminal: Sequence[str] | None = None,
) -> dict[str, Any]:
    """columns are (key, heading) pairs; a row holds the keys, and `basis`. How a value is shown follows from the end of
    its key: _bytes, _seconds, _accuracy, _points (of accuracy), _auc, _noise, _ratio, _error; other values are shown as
    they are. on_terminal: keys of the
    columns that a terminal has room for; None for all."""
    keys = [key for key, _ in columns] if on_terminal is None else list(on_terminal)
    return {
        "title": title,
        "columns": [list(column) for column in columns],
        "on_terminal": keys,
        "rows": list(rows),
        "note": note,
    }


def mean_of(values: Iterable[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None
