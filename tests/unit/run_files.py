"""The folder of a run as it looks while the run goes on, from the sample record."""

from __future__ import annotations

from pathlib import Path

from smule_crypten.report.journal import JOURNAL_FILE
from smule_crypten.report.run_records import RunRecord
from smule_crypten.report.summary import write_summary


def write_running(folder: Path, record: RunRecord, epochs: int) -> None:
    """As after so many epochs; of the next one there is a part of a line."""
    begun = RunRecord(facts=record.facts, data=record.data, settings={})
    folder.mkdir(parents=True, exist_ok=True)
    write_summary(folder, begun)
    in_order = sorted(record.epochs, key=lambda epoch: epoch.phase == "smule")  # a party trains alone first
    lines = [epoch.model_dump_json() for epoch in in_order]
    (folder / JOURNAL_FILE).write_text("".join(f"{line}\n" for line in lines[:epochs]) + "".join(lines[epochs:])[:40])


def write_finished(folder: Path, record: RunRecord) -> None:
    write_running(folder, record, len(record.epochs))
    write_summary(folder, record)
