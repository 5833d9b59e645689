"""report.html: one run on one self-contained page that needs no network and no script."""

from __future__ import annotations

from pathlib import Path

from smule_crypten.files import write_text
from smule_crypten.pages import details
from smule_crypten.pages.metric_details import metrics
from smule_crypten.pages.opening import opening
from smule_crypten.pages.rendering import render
from smule_crypten.report.run_records import RunRecord, RunSummary
from smule_crypten.report.summary import build_summary

REPORT_FILE = "report.html"


def write_report(run_dir: Path, record: RunRecord) -> Path:
    """Write report.html for a record, complete or partial, and return its path. A party's own is for its owner alone.

    Raises:
        OutputError: the folder cannot be written; an earlier report stays as it was.
    """
    path = run_dir / REPORT_FILE
    write_text(path, render_report(record), public=record.facts.recorded_by is None)
    return path


def render_report(record: RunRecord) -> str:
    summary = build_summary(record)
    return render(
        "report.html",
        title=f"SMuLe {record.facts.run_id}",
        heading="Secure mutual learning",
        subtitle=subtitle(summary, f"data {record.data}"),
        recorded_by=record.facts.recorded_by,
        opening=opening(record, summary),
        figures=details.figures(summary),
        sections=[
            details.controls(record, summary),
            metrics(summary),
            details.communication(record, summary),
            details.fidelity(record, summary),
            details.data_split(record, summary),
            details.disclosures(record),
            details.configuration(record),
            details.environment(record),
        ],
    )


def subtitle(summary: RunSummary, *more: str) -> str:
    """The facts by which a run is told from others."""
    facts = [
        f"run {summary.run_id}",
        summary.status,
        *more,
        f"scheme {summary.scheme}",
        *([f"provider {summary.provider}"] if summary.provider else []),
        f"{summary.epochs} epochs",
        f"seed {summary.seed}",
    ]
    return " · ".join(facts)
