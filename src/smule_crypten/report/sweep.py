"""A table over all jobs of a sweep: sweep_summary.csv, sweep_summary.svg and one for the terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from smule_crypten.errors import OutputError
from smule_crypten.files import write_atomic
from smule_crypten.report import phrases
from smule_crypten.report.formatting import human_bytes, percent
from smule_crypten.report.plots import sweep_figure
from smule_crypten.report.schema import validate_summary
from smule_crypten.report.summary import SUMMARY_FILE
from smule_crypten.report.svg import to_svg_file
from smule_crypten.report.terminal import Column, Grid

OVERRIDES_FILE = "overrides.json"
ERROR_FILE = "error.txt"

_RESULT_COLUMNS = (
    "accuracy_a_alone",
    "accuracy_a_smule",
    "accuracy_b_alone",
    "accuracy_b_smule",
    "pooled_accuracy",
    "bytes_total",
    "dealer_bytes_total",
    "seconds_total",
    "accuracy_a_best_control",
    "best_control_a",
    "accuracy_b_best_control",
    "best_control_b",
)


def collect_sweep(sweep_dir: Path) -> list[dict[str, Any]]:
    """One row a job folder, in the order of job numbers.

    A row holds job, status, overrides (key -> value as text), the accuracies alone and with SMuLe, pooled_accuracy,
    bytes_total, dealer_bytes_total, seconds_total, accuracy and name of the best controls, and error; None stands for
    "unknown". A job without a readable summary has failed.

    Raises:
        OutputError: sweep_dir cannot be read.
    """
    try:
        folders = [path for path in sweep_dir.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError as error:
        raise OutputError(f"cannot read the sweep in {sweep_dir}: {error.strerror}; give a sweep's folder") from error
    return [_row(folder) for folder in sorted(folders, key=_job_order)]


def write_sweep_summary(sweep_dir: Path) -> RenderableType:
    """Write sweep_summary.csv and sweep_summary.svg into sweep_dir and return the table for the terminal.

    Raises:
        OutputError: sweep_dir cannot be read or written.
    """
    rows = collect_sweep(sweep_dir)
    csv_text = _csv(rows)
    write_atomic(sweep_dir / "sweep_summary.csv", lambda file: file.write(csv_text.encode()), public=True)
    svg = to_svg_file(sweep_figure([{**row, "label": "\n".join(_settings(row, rows))} for row in rows]))
    write_atomic(sweep_dir / "sweep_summary.svg", lambda file: file.write(svg), public=True)
    return _table(rows)


def _job_order(folder: Path) -> tuple[bool, int, str]:
    is_number = folder.name.isdecimal()
    return not is_number, int(folder.name) if is_number else 0, folder.name


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"job": folder.name, "status": "failed", "overrides": {}, "error": None}
    row.update(dict.fromkeys(_RESULT_COLUMNS))
    try:
        row["overrides"] = _overrides(folder)
        summary = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        validate_summary(summary)
    except FileNotFoundError:
        row["error"] = _why_there_is_no_summary(folder)
    except (OSError, ValueError) as error:
        row["error"] = f"cannot read {SUMMARY_FILE} or {OVERRIDES_FILE}: {error}"
    else:
        row.update(_results(summary))
    return row


def _why_there_is_no_summary(folder: Path) -> str:
    path = folder / ERROR_FILE
    return path.read_text(encoding="utf-8").strip() if path.exists() else f"no {SUMMARY_FILE}"


def _overrides(folder: Path) -> dict[str, str]:
    path = folder / OVERRIDES_FILE
    if not path.exists():
        return {}
    texts: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return {key.lstrip("+~"): value for key, _, value in (text.partition("=") for text in texts)}


def _results(summary: dict[str, Any]) -> dict[str, Any]:
    a, b = summary["parties"]["a"], summary["parties"]["b"]
    return {
        "status": summary["status"],
        "accuracy_a_alone": a["standalone_test_accuracy"],
        "accuracy_a_smule": a["test_accuracy"],
        "accuracy_b_alone": b["standalone_test_accuracy"],
        "accuracy_b_smule": b["test_accuracy"],
        "pooled_accuracy": summary["pooled_test_accuracy"],
        "bytes_total": summary["communication"]["bytes_total"],
        "dealer_bytes_total": summary["communication"]["dealer_bytes_total"],
        "seconds_total": summary["seconds"]["total"],
        **_best_control("a", a),
        **_best_control("b", b),
        "error": summary["error"],
    }


def _best_control(name: str, party: dict[str, Any]) -> dict[str, Any]:
    best = party["best_local_control"] or {"name": None, "test_accuracy": None}
    return {f"accuracy_{name}_best_control": best["test_accuracy"], f"best_control_{name}": best["name"]}


def _override_keys(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row["overrides"]))


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    keys = _override_keys(rows)
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, ["job", "status", *keys, *_RESULT_COLUMNS, "error"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**row, **row["overrides"]} for row in rows)
    return buffer.getvalue()


def _settings(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[str]:
    """The overrides in which this sweep's jobs differ, under their short names, or the job where none does."""
    keys = _override_keys(rows)
    varied = [key for key in keys if len({other["overrides"].get(key) for other in rows}) > 1]
    short = {key: key.rpartition(".")[2] for key in varied}
    ambiguous = len(set(short.values())) < len(short)
    settings = [
        f"{key if ambiguous else short[key]}={row['overrides'][key]}" for key in varied if key in row["overrides"]
    ]
    return settings or [f"job {row['job']}"]


def _all_in(row: dict[str, Any]) -> int | None:
    """Bytes of the whole run, both directions and the dealer."""
    counts = row["bytes_total"], row["dealer_bytes_total"]
    return None if None in counts else sum(counts)


def _table(rows: Sequence[dict[str, Any]]) -> RenderableType:
    headings = ("a\nalone", "a\nSMuLe", "b\nalone", "b\nSMuLe", "pooled", "bytes\nall in")
    columns = [Column(heading="job"), Column(heading="setting", is_number=False)]
    columns += [Column(heading=heading) for heading in headings]
    cells = []
    for row in rows:
        accuracies = [percent(row[column]).removesuffix(" %") for column in _RESULT_COLUMNS[:5]]
        cells.append([row["job"], "\n".join(_settings(row, rows)), *accuracies, human_bytes(_all_in(row))])
    failures = [f"job {row['job']} {phrases.failure(row)}" for row in rows if phrases.failure(row)]
    grid = Grid(title="Test accuracy of every job", columns=columns, rows=cells)
    return Group(grid, *(Text(line, style="bold red") for line in failures))
