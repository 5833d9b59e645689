"""What the commands of one side between hosts share: help, logs and exit code."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable

from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.report.logs import configure_logging


def run_side_command(usage: str, run: Callable[[list[str]], object]) -> None:
    """Run with the arguments of the command line, or print usage where they ask for help; ends the process.

    Logs are shown from level INFO on, until run has read what the side's file says of them.
    """
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(usage)
        return
    heed_sigterm()
    configure_logging(logging.INFO)
    sys.exit(exit_code_of(lambda: run(arguments)))


def heed_sigterm() -> None:
    """End on SIGTERM, as service managers send it, as on Ctrl-C: the other processes are told, files are left whole."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
