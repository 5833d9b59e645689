"""`smule-estimate +party=my_side.yaml`: what the peer would bring and what a run would cost, before paying for it."""

from __future__ import annotations

from rich.console import Console

from smule_crypten.launch.info import party_usage
from smule_crypten.launch.side_command import run_side_command
from smule_crypten.launch.side_file import read_party
from smule_crypten.prediction.answers import estimate_table
from smule_crypten.report.logs import configure_logging

USAGE = """smule-estimate +party=my_side.yaml [key=value ...]

Asks the other party's network about at most predict.validation_queries held-out samples of this side, by the same
secure scheme as a run, and says how much it would bring and what a run with these settings costs. Both parties run it
at the same time, or one of them smule-predict without input, while the dealer waits if the scheme needs one. Both need
a trained network: that of the output folder, or another one named by predict.checkpoint.
"""


def main() -> None:
    """Console entry point."""
    run_side_command(lambda everything: party_usage(USAGE, everything), _run)


def _run(arguments: list[str]) -> None:
    # Imported late: it takes seconds, which --help and a mistake in the file need not wait for.
    from smule_crypten.prediction.estimate import estimate

    config = read_party(arguments)
    configure_logging(config.launch.log_level.upper())
    Console().print(estimate_table(estimate(config)))
