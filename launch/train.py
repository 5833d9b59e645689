"""`smule`: the main job. Simulates both parties, or runs one of them where the environment names it.

With SMULE_ROLE and SMULE_RENDEZVOUS set, this process is that party, so two shells can run one party each.
"""

from __future__ import annotations

import signal
import sys

from smule_crypten.errors import INTERRUPTED_EXIT_CODE
from smule_crypten.launch.info import answer, smule_usage


def main() -> None:
    """Console entry point."""
    answer(smule_usage)
    # A batch system ends a job with SIGTERM; as after Ctrl-C, no party process shall be left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # Imported late: it takes seconds, in which Ctrl-C shall not end in a traceback. Party processes, which import
        # this module when they start, do not need it at all.
        from smule_crypten.launch.command import run_command
    except KeyboardInterrupt:
        print("smule: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
    sys.exit(run_command())


if __name__ == "__main__":
    main()
