"""The live page of a run: what its folder says at this moment, while the run goes on or after it has ended."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

from smule_crypten.errors import DataError, printable
from smule_crypten.pages.blocks import Banner, Block, Table
from smule_crypten.pages.opening import opening
from smule_crypten.pages.rendering import render, render_with_script
from smule_crypten.pages.report_page import subtitle
from smule_crypten.report.formatting import MISSING, count, flattened, human_bytes, task_title
from smule_crypten.report.journal import JOURNAL_FILE, read_journal
from smule_crypten.report.metric_text import metric_title, metric_value
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.run_records import RunFacts, RunRecord, RunSummary
from smule_crypten.report.summary import SUMMARY_FILE, build_summary, read_summary

STATUS_FILE = "status.json"
_SHOWN_EPOCHS = 12
_LARGEST_STATUS = 65536
"""Bytes of status.json; a larger file is not shown."""


class LivePage:
    """The page of one run's folder. Threads may ask for it at the same time.

    Args:
        folder: of a simulation, or of a party between hosts: what find_run returned.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: object = None
        self._shown: dict[str, object] = {}

    def whole(self) -> tuple[str, str]:
        """The page with its script, and its Content-Security-Policy."""
        return render_with_script(
            "live.html",
            "live.js",
            title=f"SMuLe {self._folder.name}",
            heading="Secure mutual learning",
            subtitle=f"live from {self._folder}",
            **self._now(),
        )

    def fragment(self) -> str:
        """What changes on it."""
        return render("progress.html", **self._now())

    def _now(self) -> dict[str, object]:
        """What the templates show. Plots are drawn again for a changed record only: the run needs the processor."""
        with self._lock:  # also for matplotlib, whose settings are those of the process
            seen = [_stamp(self._folder / name) for name in (SUMMARY_FILE, JOURNAL_FILE)]
            if seen != self._seen:
                self._shown, self._seen = _of_record(self._folder), seen
            return {**self._shown, "status": _status(self._folder / STATUS_FILE)}


def find_run(folder: Path) -> Path:
    """The folder that holds the record: the one that is given, or the only party's folder in it.

    Raises:
        DataError: there is none, or there are several.
    """
    if (folder / SUMMARY_FILE).is_file():
        return folder
    inside = [path.parent for path in sorted(folder.glob(f"party_*/{SUMMARY_FILE}"))]
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise DataError(f"{folder} holds the records of {len(inside)} parties; give one of them, as {inside[0]}")
    raise DataError(
        f"{folder} holds no {SUMMARY_FILE}; give the folder of a run, which has that file as soon as it has begun: "
        "hydra.run.dir of a simulation, output_dir of a side"
    )


def read_run(folder: Path) -> tuple[RunRecord, RunSummary]:
    """Facts and epochs as far as they are on disk, and what they come to. A half line at the end is left out.

    Raises:
        DataError: a file cannot be read, or is none of a run.
    """
    summary = read_summary(folder)
    facts = RunFacts.model_validate({key: getattr(summary, key) for key in RunFacts.model_fields})
    epochs = read_journal(folder / JOURNAL_FILE) if (folder / JOURNAL_FILE).exists() else []
    record = RunRecord(facts=facts, data="", settings={}, epochs=epochs, status=summary.status, error=summary.error)
    # Until its end a run leaves its summary as it was at its beginning.
    return record, build_summary(record) if summary.status == "running" else summary


def _of_record(folder: Path) -> dict[str, object]:
    try:
        record, summary = read_run(folder)
    except DataError as error:  # a run that begins again replaces its files one by one
        return {"problem": Banner("bad", "The record cannot be read now.", f"{error}.")}
    return {
        "problem": None,
        "state": _state(record),
        "facts": subtitle(summary),
        "last_line": _written(folder / JOURNAL_FILE) if record.epochs else None,
        "opening": opening(record, summary),
        "tables": _last_epochs(record),
    }


def _state(record: RunRecord) -> str:
    """'Running: a alone, epoch 6; b SMuLe, epoch 2 of 6'."""
    last: dict[str, EpochRecord] = {epoch.party: epoch for epoch in record.epochs}
    status = record.status.capitalize()
    if record.status != "running" or not last:
        return status
    now = (f"{task_title(party, last[party].phase)}, epoch {last[party].epoch}" for party in sorted(last))
    return f"{status}: {'; '.join(now)} of {record.facts.epochs}"


def _last_epochs(record: RunRecord) -> list[Block]:
    metric = record.facts.metric
    rows = [
        [
            task_title(epoch.party, epoch.phase),
            count(epoch.epoch),
            metric_value(metric, epoch.test_figure),
            count(epoch.queries_made),
            count(epoch.queries_answered),
            human_bytes(epoch.bytes_sent + epoch.bytes_received),
        ]
        for epoch in reversed(record.epochs[-_SHOWN_EPOCHS:])
    ]
    headings = ["last epochs", "epoch", f"test {metric_title(metric)}", "asked", "answered", "bytes"]
    return [Table(headings, rows, "lrrrrr")] if rows else []


def _status(path: Path) -> list[Block]:
    """The file as it is, if there is one: the run's process decides what it holds."""
    try:
        if path.stat().st_size > _LARGEST_STATUS:
            return []
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        found = {"problem": printable(f"cannot be read: {error}")}
    if not isinstance(found, dict) or not found:
        return []
    rows = [[key, MISSING if value is None else f"{value}"] for key, value in flattened(found)]
    return [Table([STATUS_FILE, ""], rows, "ll", "settings")]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _written(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None
