"""`smule-doctor audit FILE`: verifies an audit log, and says what it tells."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from smule_crypten.audit.log import Log, read_log
from smule_crypten.audit.summary import RunSummary, as_csv, as_json_lines, by_run, kinds, notable
from smule_crypten.errors import ConfigError, OutputError
from smule_crypten.files import write_text
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.report.formatting import count
from smule_crypten.report.terminal import Column, Facts, Grid

SCHEMA_VERSION = 1
_SHOWN = 8
"""Characters of a run's identity in the table."""


def main(arguments: list[str]) -> None:
    """Ends the process.

    Args:
        arguments: what stands behind `smule-doctor audit`.
    """
    options = parse(arguments)
    sys.exit(exit_code_of(lambda: _audit(options)))


def parse(arguments: list[str]) -> argparse.Namespace:
    """File, export, expect and json.

    Raises:
        SystemExit: with code 2, where the arguments cannot be read, or 0 after --help.
    """
    parser = argparse.ArgumentParser(
        prog="smule-doctor audit",
        description="Verifies that no line of an audit log was changed, removed, added or moved, and says what it "
        "tells. docs/operations.md explains the events.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="audit.jsonl of a side, or what audit.path names")
    parser.add_argument(
        "--export", type=Path, metavar="FILE", help="write the lines into a new file, .csv or .jsonl by its name"
    )
    parser.add_argument(
        "--expect", metavar="DIGEST", help="fail unless a line has this digest, which was kept elsewhere before"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of tables")
    return parser.parse_args(arguments)


def _audit(options: argparse.Namespace) -> None:
    """Raises OutputError where the log is not whole, after saying what it tells as far as it is."""
    read = read_log(options.file)
    if options.export is not None:
        _export(read, options.export)
    if options.json:
        print(_as_json(read))
    else:
        _show(read, options.file, Console(highlight=False, markup=False, emoji=False))
    if options.expect is not None and options.expect not in read.digests:
        raise OutputError(
            f"audit log {options.file} has no line of digest {options.expect}: it was cut off or written again since "
            "that was noted; restore it from a copy"
        )
    if read.torn_from is not None:
        raise OutputError(
            f"audit log {options.file}, line {read.torn_from} is cut off: a process was stopped while it wrote. "
            "Nothing is to be done: the next one closes it with a line `recovered`"
        )


def _export(read: Log, path: Path) -> None:
    forms = {".csv": as_csv, ".jsonl": as_json_lines}
    if path.suffix not in forms:
        raise ConfigError(f"--export: {path} is called neither .csv nor .jsonl")
    if path.exists():
        raise OutputError(f"{path} exists already; move it away, or name another file")
    write_text(path, forms[path.suffix](read.lines))


def _show(read: Log, path: Path, console: Console) -> None:
    lines = read.lines
    period = f"{lines[0].time} to {lines[-1].time}" if lines else "none"
    events = ", ".join(f"{number} {kind}" for kind, number in kinds(lines).items())
    facts = {"audit log": str(path), "lines": count(len(read.digests)), "period": period, "events": events}
    console.print(Facts(facts))
    headings = ("asked", "answered", "public asked", "public answered", "charged", "head asked", "head charged")
    columns = [Column(heading="run", is_number=False), Column(heading="starts"), Column(heading="exchanges")]
    columns += [*(Column(heading=heading) for heading in headings), Column(heading="alarms")]
    columns += [Column(heading="refused"), Column(heading="ended", is_number=False)]
    console.print(Grid(title="Runs", columns=columns, rows=[_row(summary) for summary in by_run(lines)]))
    for time, text in notable(lines):
        console.print(Text(f"{time}  {text}"), soft_wrap=True)
    verdict = f"VERIFIED: all {count(len(read.digests))} lines follow from each other, the last one is {read.digest}"
    if read.torn_from is not None:
        verdict = f"CUT OFF: line {read.torn_from} is not whole; all lines before it follow from each other"
    console.print(Text(verdict), soft_wrap=True)


def _row(summary: RunSummary) -> list[str]:
    numbers = (
        summary.starts,
        summary.exchanges,
        summary.asked,
        summary.answered,
        summary.public_asked,
        summary.public_answered,
        summary.charged,
        summary.head_asked,
        summary.head_charged,
        summary.alarms,
        summary.refusals,
    )
    ends = [*summary.outcomes, *(["without a line"] * summary.cut_off)]
    return [summary.run[:_SHOWN] or "–", *map(count, numbers), ", ".join(ends)]


def _as_json(read: Log) -> str:
    document = {
        "schema_version": SCHEMA_VERSION,
        "lines": len(read.digests),
        "last_digest": read.digest,
        "torn_from": read.torn_from,
        "events": kinds(read.lines),
        "runs": [dataclasses.asdict(summary) | {"cut_off": summary.cut_off} for summary in by_run(read.lines)],
        "notable": [{"time": time, "text": text} for time, text in notable(read.lines)],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
