"""What a suite of comparisons finds: tables and curves, in results.json and on its page."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from smule_crypten.report.record import Record
from smule_crypten.report.run_records import Hardware

Cell = str | int | float | None
Row = dict[str, Cell]


class ResultTable(Record):
    """A table: columns are (key, heading) pairs; a row holds the keys, and `basis`.

    How a value is shown follows from the end of its key: _bytes, _seconds, _accuracy, _points (of accuracy),
    _auc, _noise, _ratio, _error; other values are shown as they are. on_terminal: keys of the
    columns that a terminal has room for.
    """

    title: str
    columns: list[tuple[str, str]]
    on_terminal: list[str]
    rows: list[Row]
    note: str


class CurvePoint(Record):
    """Test accuracy after an epoch; bytes, those of the dealer with them, and seconds are of all epochs so far."""

    epoch: int
    accuracy: float
    bytes: int | float
    seconds: float


class Curve(Record):
    label: str
    points: list[CurvePoint]


class Findings(Record):
    """bytes_by_layer: of a method, both directions."""

    tables: list[ResultTable]
    curves: list[Curve] = Field(default_factory=list)
    bytes_by_layer: dict[str, dict[str, int]] = Field(default_factory=dict)


class SuiteResults(Findings):
    """results.json: what was found, when, where and by which command. commit is None outside of a repository."""

    schema_version: Literal[1] = 1
    suite: str
    date: str
    command: list[str]
    commit: str | None
    versions: dict[str, str]
    hardware: Hardware
    insecure_choices: list[str]
    config: dict[str, JsonValue]
