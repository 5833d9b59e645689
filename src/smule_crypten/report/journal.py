"""record.jsonl: one line per epoch, on disk as soon as the epoch is over, so that a crash loses nothing."""

from __future__ import annotations

from pathlib import Path

from smule_crypten.files import output_error
from smule_crypten.report.record import parse_record, read_text
from smule_crypten.report.records import EpochRecord

JOURNAL_FILE = "record.jsonl"


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

    def append(self, epoch: EpochRecord) -> None:
        try:
            self._file.write(epoch.model_dump_json() + "\n")
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

    def __exit__(self, *ended: object) -> None:
        self.close()


def read_journal(path: Path) -> list[EpochRecord]:
    """Read the epochs back. A last line that a crash cut short is left out.

    Raises:
        DataError: the file cannot be read, or a whole line is damaged.
    """
    *lines, _cut_short = read_text(path).split("\n")
    return [parse_record(EpochRecord, line, f"{path}, line {number},") for number, line in enumerate(lines, start=1)]
