"""A table over all jobs of a sweep: sweep_summary.csv, sweep_summary.svg and one for the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from smule_crypten.errors import DataError, OutputError
from smule_crypten.files import write_text
from smule_crypten.report import phrases
from smule_crypten.report.evaluation_records import MetricRecord
from smule_crypten.report.formatting import human_bytes
from smule_crypten.report.metric_text import metric_title, metric_value
from smule_crypten.report.records import RunStatus
from smule_crypten.report.run_records import PartySummary, RunSummary
from smule_crypten.report.summary import SUMMARY_FILE, read_summary
from smule_crypten.report.svg import to_svg_file
from smule_crypten.report.sweep_figure import sweep_figure
from smule_crypten.report.terminal import Column, Grid
from smule_crypten.types import PARTY_NAMES

OVERRIDES_FILE = "overrides.json"
ERROR_FILE = "error.txt"

Cell = float | str | None


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
    svg = to_svg_file(sweep_figure([("\n".join(_settings(job, jobs)), job.summary) for job in jobs], _metric(jobs)))
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


def _metric(jobs: Sequence[SweepJob]) -> str:
    """That of the first job that has one: all are shown by the same metric, which every job records."""
    return next((job.summary.metric for job in jobs if job.summary is not None), "accuracy")


def _results(summary: RunSummary | None, metric: str) -> dict[str, Cell]:
    """Column of the table of all jobs -> its value, None for unknown."""
    parties = {name: PartySummary() if summary is None else summary.parties[name] for name in PARTY_NAMES}
    results: dict[str, Cell] = {}
    for name, party in parties.items():
        results[f"{metric}_{name}_alone"] = _value(party.figure("standalone", metric))
        results[f"{metric}_{name}_smule"] = _value(party.figure("smule", metric))
    results[f"pooled_{metric}"] = None if summary is None else _value(summary.pooled_figure(metric))
    results["bytes_total"] = None if summary is None else summary.communication.bytes_total
    results["dealer_bytes_total"] = None if summary is None else summary.communication.dealer_bytes_total
    results["seconds_total"] = None if summary is None else summary.seconds.total
    for name, party in parties.items():
        best = party.best_local_control
        gain = None if best is None else party.gain(best.name, metric)
        results[f"{metric}_{name}_best_control"] = _value(party.best_control(metric))
        results[f"best_control_{name}"] = None if best is None else best.name
        results[f"gain_{name}_low"] = None if gain is None else gain.low
        results[f"gain_{name}_high"] = None if gain is None else gain.high
    return results


def _value(figure: MetricRecord | None) -> float | None:
    return None if figure is None else figure.value


def _override_keys(jobs: Sequence[SweepJob]) -> list[str]:
    return list(dict.fromkeys(key for job in jobs for key in job.overrides))


def _csv(jobs: Sequence[SweepJob]) -> str:
    buffer = io.StringIO(newline="")
    metric = _metric(jobs)
    columns = [*_override_keys(jobs), *_results(None, metric)]
    writer = csv.DictWriter(buffer, ["job", "status", *columns, "error"])
    writer.writeheader()
    for job in jobs:
        results = _results(job.summary, metric)
        writer.writerow({"job": job.name, "status": job.status, **results, "error": job.error, **job.overrides})
    return buffer.getvalue()


def _settings(job: SweepJob, jobs: Sequence[SweepJob]) -> list[str]:
    """The overrides in which this sweep's jobs differ, under their short names, or the job where none does."""
    varied = [key for key in _override_keys(jobs) if len({other.overrides.get(key) for other in jobs}) > 1]
    short = {key: key.rpartition(".")[2] for key in varied}
    names = short if len(set(short.values())) == len(short) else {key: key for key in varied}
    settings = [f"{names[key]}={job.overrides[key]}" for key in varied if key in job.overrides]
    return settings or [f"job {job.name}"]


def _figures(job: SweepJob, metric: str) -> list[float | None]:
    if job.summary is None:
        return [None] * 5
    parties = (job.summary.parties[name] for name in PARTY_NAMES)
    figures = [party.figure(network, metric) for party in parties for network in ("standalone", "smule")]
    return [_value(figure) for figure in (*figures, job.summary.pooled_figure(metric))]


def _all_in(job: SweepJob) -> int | None:
    """Bytes of the whole run, both directions and the dealer."""
    if job.summary is None:
        return None
    online, dealt = job.summary.communication.bytes_total, job.summary.communication.dealer_bytes_total
    return None if online is None or dealt is None else online + dealt


def _table(jobs: Sequence[SweepJob]) -> RenderableType:
    metric = _metric(jobs)
    headings = ("a\nalone", "a\nSMuLe", "b\nalone", "b\nSMuLe", "pooled", "bytes\nin total")
    columns = [Column(heading="job"), Column(heading="setting", is_number=False)]
    columns += [Column(heading=heading) for heading in headings]
    cells = []
    for job in jobs:
        figures = [metric_value(metric, figure).removesuffix(" %") for figure in _figures(job, metric)]
        cells.append([job.name, "\n".join(_settings(job, jobs)), *figures, human_bytes(_all_in(job))])
    failures = [f"job {job.name} {job.failure}" for job in jobs if job.failure]
    grid = Grid(title=f"Test {metric_title(metric)} of every job", columns=columns, rows=cells)
    return Group(grid, *(Text(line, style="bold red") for line in failures))
