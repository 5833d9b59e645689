"""What smule-doctor shows: one check after another with its remedy, a verdict at the end, or all of it as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from smule_crypten.doctor.checkup import Finding, Status

SCHEMA_VERSION = 1
_STYLES: dict[Status, str] = {"ok": "green", "FAILED": "bold red", "skipped": "yellow"}
_STATUS_WIDTH = 8


def show(finding: Finding, console: Console) -> None:
    """On a terminal wrapped beside its status, elsewhere one line."""
    status, text = Text(finding.status, style=_STYLES[finding.status]), Text(f"{finding.check}: {finding.text}")
    if not console.is_terminal:
        console.print(Text(f"{finding.status:<{_STATUS_WIDTH}} {text}"), soft_wrap=True)
        return
    text.stylize("bold", 0, len(finding.check) + 1)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=_STATUS_WIDTH)
    grid.add_column(overflow="fold")
    grid.add_row(status, text)
    console.print(grid)


def exit_code_of_all(findings: Sequence[Finding]) -> int:
    """That of the first check that failed; 0 where none did."""
    return next((finding.exit_code for finding in findings if finding.status == "FAILED"), 0)


def verdict(findings: Sequence[Finding]) -> str:
    """One line: whether this side is ready, and what is missing."""
    by_status = {status: [finding.check for finding in findings if finding.status == status] for status in _STYLES}
    failed, skipped = by_status["FAILED"], by_status["skipped"]
    unknown = f"; not examined: {', '.join(skipped)}" if skipped else ""
    if failed:
        return f"NOT READY: {len(failed)} of {len(findings)} checks failed: {', '.join(failed)}; fix the first{unknown}"
    if skipped:
        return f"NOTHING FAILED, but not all is known: {len(by_status['ok'])} of {len(findings)} checks are ok{unknown}"
    return f"READY: all {len(findings)} checks are ok"


def show_verdict(findings: Sequence[Finding], console: Console) -> None:
    worst = next(status for status in ("FAILED", "skipped", "ok") if status in {each.status for each in findings})
    console.print(Text(verdict(findings), style=_STYLES[worst]), soft_wrap=not console.is_terminal)


def as_json(findings: Sequence[Finding]) -> str:
    """All findings, the verdict and the exit code."""
    checks = [dataclasses.asdict(finding) for finding in findings]
    document = {
        "schema_version": SCHEMA_VERSION,
        "verdict": verdict(findings),
        "exit_code": exit_code_of_all(findings),
        "checks": checks,
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
