"""`smule-doctor +party=my_side.yaml` checks a side before the day of a run; `smule-doctor audit FILE` its audit log."""

from __future__ import annotations

import argparse
import logging
import sys

from rich.console import Console

from smule_crypten.doctor.all_checks import DEFAULT_WAIT_SECONDS, examine
from smule_crypten.launch import audit
from smule_crypten.launch.doctor_view import as_json, exit_code_of_all, show, show_verdict
from smule_crypten.launch.info import answer
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.launch.side_command import heed_sigterm
from smule_crypten.launch.side_file import read_party
from smule_crypten.report.logs import configure_logging

_LONGEST_WAIT_SECONDS = 24 * 3600.0


def main() -> None:
    """Console entry point."""
    answer()
    if sys.argv[1:2] == ["audit"]:
        audit.main(sys.argv[2:])
    arguments = parse(sys.argv[1:])
    heed_sigterm()
    configure_logging(logging.ERROR)
    sys.exit(exit_code_of(lambda: _check(arguments)))


def parse(arguments: list[str]) -> argparse.Namespace:
    """Settings (for read_party), wait, quick and json.

    Raises:
        SystemExit: with code 2, where the arguments cannot be read, or 0 after --help.
    """
    parser = argparse.ArgumentParser(
        prog="smule-doctor",
        usage="%(prog)s +party=my_side.yaml [key=value ...] [--wait SECONDS] [--quick] [--json]\n"
        "       %(prog)s audit FILE [--export FILE] [--json]",
        description="Checks one side before a run between hosts, as its file says; changes nothing. Run it at both "
        "sides at the same time (and while the dealer waits, if the scheme needs one), so that they compare clocks and "
        "settings. "
        "docs/two-hosts.md explains every line.",
    )
    parser.add_argument("settings", nargs="+", metavar="+party=my_side.yaml", help="and overrides, as for smule-party")
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=DEFAULT_WAIT_SECONDS,
        metavar="SECONDS",
        help="how long to wait for the other side's doctor, and for a dealer (default %(default)g)",
    )
    parser.add_argument("--quick", action="store_true", help="leave out the rehearsal of an exchange on this machine")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end in place of lines")
    return parser.parse_intermixed_args(arguments)


def _tell_who_watches(text: str) -> None:
    """Beside the findings, and only for a person at a terminal."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= _LONGEST_WAIT_SECONDS:
        raise ValueError
    return seconds


def _check(arguments: argparse.Namespace) -> None:
    """Print all findings, and end with the exit code of the first one that failed."""
    config = read_party(arguments.settings)
    assert config.connection is not None, "read_party sees to it"
    console, findings = Console(highlight=False, markup=False, emoji=False), []
    examination = examine(
        config, config.connection, wait_seconds=arguments.wait, rehearse=not arguments.quick, say=_tell_who_watches
    )
    for finding in examination:
        findings.append(finding)
        if not arguments.json:
            show(finding, console)
    if arguments.json:
        print(as_json(findings))
    else:
        show_verdict(findings, console)
    sys.exit(exit_code_of_all(findings))


if __name__ == "__main__":
    main()
