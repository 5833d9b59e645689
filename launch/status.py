"""`smule-status RUNDIR`: how a party or a dealer is, for people and as a health check."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from smule_crypten.launch.info import answer
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.report.formatting import count
from smule_crypten.report.terminal import Column, Grid
from smule_crypten.status.verdict import DEFAULT_STALE_AFTER_SECONDS, Verdict, check_all, folders_of, judged

SCHEMA_VERSION = 1
_HEADINGS = ("role", "health", "phase", "epoch", "exchanges", "peer", "last progress")


def main() -> None:
    """Console entry point."""
    answer()
    options = parse(sys.argv[1:])
    sys.exit(exit_code_of(lambda: _show(options)))


def parse(arguments: list[str]) -> argparse.Namespace:
    """folder, stale_after and json.

    Raises:
        SystemExit: with code 2, where the arguments cannot be read, or 0 after --help.
    """
    parser = argparse.ArgumentParser(
        prog="smule-status",
        description="Says how the processes are that run, or ran, in a folder on this machine: smule-party and "
        "smule-dealer. Ends with 0 where all of them run or have finished, and else with 16, as health checks want it. "
        "docs/deployment.md explains the status file.",
    )
    parser.add_argument(
        "folder", type=Path, metavar="RUNDIR", help="output_dir of a side, or party_a, party_b or dealer in it"
    )
    parser.add_argument(
        "--stale-after",
        type=_seconds,
        default=DEFAULT_STALE_AFTER_SECONDS,
        metavar="SECONDS",
        help="a party without progress for longer is not well (default %(default)g); waiting for others is progress",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    return parser.parse_args(arguments)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError
    return seconds


def _show(options: argparse.Namespace) -> None:
    """Raises StatusError where one is not well, after showing all."""
    verdicts = [judged(folder, options.stale_after) for folder in folders_of(options.folder)]
    if options.json:
        print(_as_json(verdicts))
    else:
        columns = [Column(heading=heading, is_number=heading in ("epoch", "exchanges")) for heading in _HEADINGS]
        console = Console(highlight=False, markup=False, emoji=False)
        console.print(Grid(title="Status", columns=columns, rows=[_row(verdict) for verdict in verdicts]))
        for verdict in verdicts:
            console.print(Text(f"{verdict.folder}: {verdict.text}"), soft_wrap=True)
    check_all(verdicts)


def _row(verdict: Verdict) -> list[str]:
    status = verdict.status
    epoch = "–" if status.epoch is None else f"{status.epoch}/{status.epochs}"
    peer = "connected" if status.peer_connected and verdict.health in ("running", "stale") else "–"
    progress = f"{status.progress_at} ({verdict.idle_seconds:.0f} s ago)"
    return [status.role, verdict.health, status.phase, epoch, count(status.exchanges), peer, progress]


def _as_json(verdicts: Sequence[Verdict]) -> str:
    entries = [
        {
            "folder": str(verdict.folder),
            "health": verdict.health,
            "is_well": verdict.is_well,
            "idle_seconds": verdict.idle_seconds,
            "status": verdict.status.model_dump(mode="json"),
        }
        for verdict in verdicts
    ]
    return json.dumps({"schema_version": SCHEMA_VERSION, "processes": entries}, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    main()
