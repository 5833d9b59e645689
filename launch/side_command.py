"""What the commands of one side between hosts share: help, logs and exit code."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Mapping

from smule_crypten.errors import (
    INTERRUPTED_EXIT_CODE,
    HandshakeError,
    PeerDeclinedError,
    PeerError,
    ProtocolError,
)
from smule_crypten.launch.info import answer
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.report.logs import configure_logging

_BOTH = "run smule-doctor at both sides"
NEXT_STEPS: Mapping[int, str] = {
    PeerError.exit_code: "start the same command again, at all sides; what was charged stays charged",
    ProtocolError.exit_code: f"see that all sides run the same version, and {_BOTH}",
    HandshakeError.exit_code: f"agree on it with the other side, {_BOTH}, then start again",
    PeerDeclinedError.exit_code: "once that is fixed there, start the same command again",
    INTERRUPTED_EXIT_CODE: "start the same command again",
}
"""What to do after each exit code whose message tells what happened, but cannot tell what follows from it."""


def run_side_command(
    usage: Callable[[bool], str], run: Callable[[list[str]], object], next_steps: Mapping[int, str] = NEXT_STEPS
) -> None:
    """Run with the arguments of the command line, or print usage or version where they ask for it; ends the process.

    Logs are shown from level INFO on, until run has read what the side's file says of them.
    """
    arguments = sys.argv[1:]
    answer(usage)
    heed_sigterm()
    configure_logging(logging.INFO)
    sys.exit(exit_code_of(lambda: run(arguments), next_steps))


def heed_sigterm() -> None:
    """End on SIGTERM, as service managers send it, as on Ctrl-C: the other processes are told, files are left whole."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
