"""A table over all jobs of a sweep: sweep_summary.csv, sweep_summary.svg and one for the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from smule_crypten.errors import DataError, OutputError
from smule_crypten.files import write_text
from smule_crypten.report import phrases
from smule_crypten.report.formatting import human_bytes, percent
from smule_crypten.report.plots import sweep_figure
from smule_crypten.report.records import RunStatus
from smule_crypten.report.run_records import PartySummary, RunSummary
from smule_crypten.report.summary import SUMMARY_FILE, read_summary
from smule_crypten.report.svg import to_svg_file
from smule_crypten.report.terminal import Column, Grid
from smule_crypten.types import PARTY_NAMES

OVERRIDES_FILE = "overrides.json"
ERROR_FILE = "error.txt"

_RESULTS: dict[str, Callable[[RunSummary], float | str | None]] = {
    "accuracy_a_alone": lambda run: run.parties["a"].standalone_test_accuracy,
    "accuracy_a_smule": lambda run: run.parties["a"].test_accuracy,
    "accuracy_b_alone": lambda run: run.parties["b"].standalone_test_accuracy,
    "accuracy_b_smule": lambda run: run.parties["b"].test_accuracy,
    "pooled_accuracy": lambda run: run.pooled_test_accuracy,
    "bytes_total": lambda run: run.communication.bytes_total,
    "dealer_bytes_total": lambda run: run.communication.dealer_bytes_total,
    "seconds_total": lambda run: run.seconds.total,
    "accuracy_a_best_control": lambda run: run.parties["a"].control_accuracy,
    "best_control_a": lambda run: _best_control(run.parties["a"]),
    "accuracy_b_best_control": lambda run: run.parties["b"].control_accuracy,
    "best_control_b": lambda run: _best_control(run.parties["b"]),
}
"""Column of the table of all jobs -> its value, None for unknown."""


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """overrides: key -> value as text. Without a summary, error says why there is none: the job has failed."""

    name: str
    overrides: dict[str, str] = field(default_factory=dict)
    summary: RunSummary | None = None
    error: str | None = None

    @property
    def status(self) -> RunStatus:
        return "failed" if self.summary is None else self.summary.status

    @property
    def failure(self) -> str:
        return phrases.failure(self.status, self.error)


def collect_sweep(sweep_dir: Path) -> list[SweepJob]:
    """One a folder, in the order of job numbers.

    Raises:
        OutputError: sweep_dir cannot be read.
    """
    try:
        folders = [path for path in sweep_dir.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError as error:
        raise OutputError(f"cannot read the sweep in {sweep_dir}: {error.strerror}; give a sweep's folder") from error
    return [_job(folder) for folder in sorted(folders, key=_job_order)]


def write_sweep_summary(sweep_dir: Path) -> RenderableType:
    """Write sweep_summary.csv and sweep_summary.svg into sweep_dir and return the table for the terminal.

    Raises:
        OutputError: sweep_dir cannot be read or written.
    """
    jobs = collect_sweep(sweep_dir)
    write_text(sweep_dir / "sweep_summary.csv", _csv(jobs), public=True)
    svg = to_svg_file(sweep_figure([("\n".join(_settings(job, jobs)), job.summary) for job in jobs]))
    write_text(sweep_dir / "sweep_summary.svg", svg, public=True)
    return _table(jobs)


def _job_order(folder: Path) -> tuple[bool, int, str]:
    is_number = folder.name.isdecimal()
    return not is_number, int(folder.name) if is_number else 0, folder.name


def _job(folder: Path) -> SweepJob:
    overrides: dict[str, str] = {}
    try:
        overrides = _overrides(folder)
        if not (folder / SUMMARY_FILE).exists():
            return SweepJob(name=folder.name, overrides=overrides, error=_why_there_is_no_summary(folder))
        summary = read_summary(folder)
    except (DataError, OSError, ValueError) as error:
        return SweepJob(name=folder.name, overrides=overrides, error=str(error))
    return SweepJob(name=folder.name, overrides=overrides, summary=summary, error=summary.error)


def _why_there_is_no_summary(folder: Path) -> str:
    path = folder / ERROR_FILE
    return path.read_text(encoding="utf-8").strip() if path.exists() else f"no {SUMMARY_FILE}"


def _overrides(folder: Path) -> dict[str, str]:
    path = folder / OVERRIDES_FILE
    if not path.exists():
        return {}
    texts: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return {key.lstrip("+~"): value for key, _, value in (text.partition("=") for text in texts)}


def _best_control(party: PartySummary) -> str | None:
    return None if party.best_local_control is None else party.best_local_control.name


def _override_keys(jobs: Sequence[SweepJob]) -> list[str]:
    return list(dict.fromkeys(key for job in jobs for key in job.overrides))


def _results(job: SweepJob) -> dict[str, float | str | None]:
    return {name: None if job.summary is None else value(job.summary) for name, value in _RESULTS.items()}


def _csv(jobs: Sequence[SweepJob]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, ["job", "status", *_override_keys(jobs), *_RESULTS, "error"])
    writer.writeheader()
    for job in jobs:
        writer.writerow({"job": job.name, "status": job.status, **_results(job), "error": job.error, **job.overrides})
    return buffer.getvalue()


def _settings(job: SweepJob, jobs: Sequence[SweepJob]) -> list[str]:
    """The overrides in which this sweep's jobs differ, under their short names, or the job where none does."""
    varied = [key for key in _override_keys(jobs) if len({other.overrides.get(key) for other in jobs}) > 1]
    short = {key: key.rpartition(".")[2] for key in varied}
    names = short if len(set(short.values())) == len(short) else {key: key for key in varied}
    settings = [f"{names[key]}={job.overrides[key]}" for key in varied if key in job.overrides]
    return settings or [f"job {job.name}"]


def _accuracies(job: SweepJob) -> list[float | None]:
    if job.summary is None:
        return [None] * 5
    parties = (job.summary.parties[name] for name in PARTY_NAMES)
    of_parties = [value for party in parties for value in (party.standalone_test_accuracy, party.test_accuracy)]
    return [*of_parties, job.summary.pooled_test_accuracy]


def _all_in(job: SweepJob) -> int | None:
    """Bytes of the whole run, both directions and the dealer."""
    if job.summary is None:
        return None
    online, dealt = job.summary.communication.bytes_total, job.summary.communication.dealer_bytes_total
    return None if online is None or dealt is None else online + dealt


def _table(jobs: Sequence[SweepJob]) -> RenderableType:
    headings = ("a\nalone", "a\nSMuLe", "b\nalone", "b\nSMuLe", "pooled", "bytes\nall in")
    columns = [Column(heading="job"), Column(heading="setting", is_number=False)]
    columns += [Column(heading=heading) for heading in headings]
    cells = []
    for job in jobs:
        accuracies = [percent(accuracy).removesuffix(" %") for accuracy in _accuracies(job)]
        cells.append([job.name, "\n".join(_settings(job, jobs)), *accuracies, human_bytes(_all_in(job))])
    failures = [f"job {job.name} {job.failure}" for job in jobs if job.failure]
    grid = Grid(title="Test accuracy of every job", columns=columns, rows=cells)
    return Group(grid, *(Text(line, style="bold red") for line in failures))
