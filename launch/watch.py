"""`smule-watch RUNDIR`: one live page of a run, on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from smule_crypten._version import __version__
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.launch.side_command import heed_sigterm
from smule_crypten.pages.live import LivePage, find_run
from smule_crypten.pages.serving import LOOPBACK, LiveServer, is_loopback


def main(arguments: Sequence[str] | None = None) -> None:
    """Console entry point. arguments are those of the command line unless given."""
    options = parse(list(sys.argv[1:] if arguments is None else arguments))
    heed_sigterm()
    sys.exit(exit_code_of(lambda: _watch(options)))


def parse(arguments: list[str]) -> argparse.Namespace:
    """Folder, port and address.

    Raises:
        SystemExit: with code 2, where the arguments cannot be read, or 0 after --help and --version.
    """
    parser = argparse.ArgumentParser(
        prog="smule-watch",
        description="Serves one page that shows a run while it goes on, or one that has ended: figures, plots, bytes, "
        "questions answered. It prints the link, and ends with Ctrl-C. Only programs of this machine reach it, and "
        "only with the link, which holds a secret. docs/operations.md says how to look from another machine.",
    )
    parser.add_argument("--version", action="version", version=f"smule-crypten {__version__}")
    parser.add_argument(
        "folder",
        type=Path,
        metavar="RUNDIR",
        help="hydra.run.dir of a simulation, or output_dir of a side, which holds its party_a or party_b",
    )
    parser.add_argument("--port", type=int, default=0, metavar="PORT", help="default: any free one")
    parser.add_argument(
        "--expose-record-on",
        metavar="ADDRESS",
        default=LOOPBACK,
        help="listen on this IP address of the machine in place of loopback. Whoever reaches it with the link, or "
        "reads along on the network, since nothing protects the page on its way, sees what the party keeps for itself: "
        "the figures of its networks, how many questions it asked and answered, when",
    )
    return parser.parse_args(arguments)


def _watch(options: argparse.Namespace) -> None:
    page = LivePage(find_run(options.folder))
    exposed = not is_loopback(options.expose_record_on)
    with LiveServer(page, options.expose_record_on, options.port) as server:
        if exposed:
            print(
                "smule-watch: the record of this run leaves this machine unprotected; whoever reads along sees it",
                file=sys.stderr,
            )
        print(f"Open {server.url}\nCtrl-C ends it.", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
