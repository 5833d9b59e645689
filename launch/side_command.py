"""What the commands of one side between hosts share: help, logs and exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from smule_crypten.launch.info import answer
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.report.logs import configure_logging


def run_side_command(usage: Callable[[], str], run: Callable[[list[str]], object]) -> None:
    """Run with the arguments of the command line, or print usage or version where they ask for it; ends the process.

    Logs are shown from level INFO on, until run has read what the side's file says of them.
    """
    arguments = sys.argv[1:]
    answer(usage)
    configure_logging(logging.INFO)
    sys.exit(exit_code_of(lambda: run(arguments)))
