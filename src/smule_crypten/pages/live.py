"""The live page of a run: what its folder says at this moment, while the run goes on or after it has ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from smule_crypten.errors import DataError, printable
from smule_crypten.pages.blocks import Banner, Block, Table
from smule_crypten.pages.opening import opening
from smule_crypten.pages.rendering import render, render_with_script
from smule_crypten.pages.report_page import subtitle
from smule_crypten.report.formatting import count, flattened, human_bytes, task_title
from smule_crypten.report.journal import JOURNAL_FILE, read_journal
from smule_crypten.report.metric_text import metric_title, metric_value
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.run_records import RunFacts, RunRecord, RunSummary
from smule_crypten.report.summary import SUMMARY_FILE, build_summary, read_summary

STATUS_FILE = "status.json"
_SHOWN_EPOCHS = 12
_LARGEST_STATUS = 65536
"""Bytes of status.json; a larger file is not shown."""


@dataclass(frozen=True)
class WatchedRun:
    """record: facts and epochs as far as they are on disk. status: of status.json, empty without one."""

    record: RunRecord
    summary: RunSummary
    status: Mapping[str, object]


class LivePage:
    """The page of one run's folder. Threads may ask for it at the same time.

    Args:
        folder: of a simulation, or of a party between hosts: what find_run returned.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: object = None
        self._fragment = ""

    def whole(self) -> tuple[str, str]:
        """The page with its script, and its Content-Security-Policy."""
        with self._lock:  # matplotlib's settings are those of the process
            return render_with_script(
                "live.html",
                "live.js",
                title=f"SMuLe {self._folder.name}",
                heading="Secure mutual learning",
                subtitle=f"live from {self._folder}",
                **_progress(self._folder),
            )

    def fragment(self) -> str:
        """What changes on it. It is drawn anew only when a file of the run has changed."""
        with self._lock:
            seen = [_stamp(self._folder / name) for name in (SUMMARY_FILE, JOURNAL_FILE, STATUS_FILE)]
            if seen != self._seen:
                self._fragment, self._seen = render("progress.html", **_progress(self._folder)), seen
            return self._fragment


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


def read_run(folder: Path) -> WatchedRun:
    """What the files say. A last line of record.jsonl that is being written is left out.

    Raises:
        DataError: a file cannot be read, or is none of a run.
    """
    summary = read_summary(folder)
    facts = RunFacts.model_validate({key: getattr(summary, key) for key in RunFacts.model_fields})
    epochs = read_journal(folder / JOURNAL_FILE) if (folder / JOURNAL_FILE).exists() else []
    record = RunRecord(facts=facts, data="", settings={}, epochs=epochs, status=summary.status, error=summary.error)
    # Until its end a run leaves its summary as it was at its beginning.
    now = build_summary(record) if summary.status == "running" else summary
    return WatchedRun(record, now, _read_status(folder / STATUS_FILE))


def _progress(folder: Path) -> dict[str, object]:
    try:
        run = read_run(folder)
    except DataError as error:  # a run that begins anew replaces its files one by one
        return {"problem": Banner("bad", "The record cannot be read now.", f"{error}.")}
    return {
        "problem": None,
        "state": _state(run),
        "facts": subtitle(run.summary),
        "last_line": _written(folder / JOURNAL_FILE) if run.record.epochs else None,
        "opening": opening(run.record, run.summary),
        "tables": _tables(run),
    }


def _state(run: WatchedRun) -> str:
    """'Running: a alone, epoch 6; b SMuLe, epoch 2 of 6'."""
    last: dict[str, EpochRecord] = {epoch.party: epoch for epoch in run.record.epochs}
    status = run.summary.status.capitalize()
    if run.summary.status != "running" or not last:
        return status
    now = (f"{task_title(party, last[party].phase)}, epoch {last[party].epoch}" for party in sorted(last))
    return f"{status}: {'; '.join(now)} of {run.summary.epochs}"


def _tables(run: WatchedRun) -> list[Block]:
    metric = run.summary.metric
    rows = [
        [
            task_title(epoch.party, epoch.phase),
            count(epoch.epoch),
            metric_value(metric, epoch.test_figure),
            count(epoch.queries_made),
            count(epoch.queries_answered),
            human_bytes(epoch.bytes_sent + epoch.bytes_received),
        ]
        for epoch in reversed(run.record.epochs[-_SHOWN_EPOCHS:])
    ]
    headings = ["last epochs", "epoch", f"test {metric_title(metric)}", "asked", "answered", "bytes"]
    tables: list[Block] = [Table(headings, rows, "lrrrrr")] if rows else []
    if run.status:
        status = [[key, f"{value}"] for key, value in flattened(run.status)]
        tables.append(Table([STATUS_FILE, ""], status, "ll", "settings"))
    return tables


def _read_status(path: Path) -> Mapping[str, object]:
    """It is shown as it is, if there is one: other programs decide what stands in it."""
    try:
        if path.stat().st_size > _LARGEST_STATUS:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {"problem": printable(f"cannot be read: {error}")}
    return found if isinstance(found, dict) else {}


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
