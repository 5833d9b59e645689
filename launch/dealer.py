"""`smule-dealer +dealer=dealer.yaml`: the neutral third process between hosts, for schemes that need one."""

from __future__ import annotations

from smule_crypten.launch.info import dealer_usage
from smule_crypten.launch.side_command import NEXT_STEPS, run_side_command
from smule_crypten.launch.side_file import read_dealer
from smule_crypten.report.logs import configure_logging

USAGE = """smule-dealer +dealer=dealer.yaml [key=value ...]

Deals correlated randomness to two parties, one run after another; sees no data. scheme=lean and scheme=crypten need it,
with scheme=two_party there is no dealer. The file names its certificate, its key, the address it listens on, and the
certificates of both parties. docs/two-hosts.md has a complete example.
"""


def main() -> None:
    """Console entry point."""
    next_steps = dict.fromkeys(NEXT_STEPS, "start the same command again; a dealer keeps nothing of a run")
    run_side_command(lambda _: dealer_usage(USAGE), _run, next_steps)


def _run(arguments: list[str]) -> None:
    # Imported late: it takes seconds, which --help and a mistake in the file need not wait for.
    from smule_crypten.dealing.serving import serve_runs

    config = read_dealer(arguments)
    configure_logging(config.launch.log_level.upper())
    serve_runs(config)
