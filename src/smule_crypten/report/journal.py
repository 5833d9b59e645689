"""record.jsonl: one line an epoch, on disk as soon as the epoch is over, so that a crash loses nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from smule_crypten.errors import DataError
from smule_crypten.files import output_error
from smule_crypten.report.jsontext import to_json


class EpochJournal:
    """Writes one JSON object a line. A journal holds one run: what stood at path is replaced.

    Raises:
        OutputError: path cannot be written or the disk is full (here and in every method).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise output_error(path, error) from error

    def append(self, event: Mapping[str, Any]) -> None:
        try:
            self._file.write(to_json(dict(event)) + "\n")
            self._file.flush()
        except OSError as error:
            raise output_error(self.path, error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise output_error(self.path, error) from error

    def __enter__(self) -> EpochJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Read the events back. A last line that a crash cut short is left out.

    Raises:
        DataError: the file cannot be read, or a line before the last is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; give the record.jsonl of a run") from error
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise DataError(f"{path}, line {number}, is not JSON ({error.msg}); restore the file") from error
    return events
