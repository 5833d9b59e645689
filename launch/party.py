"""`smule-party +party=my_side.yaml`: one party between hosts."""

from __future__ import annotations

from rich.console import Console

from smule_crypten.launch.info import party_usage
from smule_crypten.launch.side_command import run_side_command
from smule_crypten.launch.side_file import read_party
from smule_crypten.report.logs import configure_logging

USAGE = """smule-party +party=my_side.yaml [key=value ...]

Runs one party between hosts, as my_side.yaml says: its role, data, model, certificates and addresses.
docs/two-hosts.md has a complete example. Run smule-doctor +party=my_side.yaml before.
"""


def main() -> None:
    """Console entry point."""
    run_side_command(lambda: party_usage(USAGE), _run)


def _run(arguments: list[str]) -> None:
    # Imported late: it takes seconds, which --help and a mistake in the file need not wait for.
    from smule_crypten.processes.single_party import run_single_party

    config = read_party(arguments)
    configure_logging(config.launch.log_level.upper())
    run_single_party(config, Console())
