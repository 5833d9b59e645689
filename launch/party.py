"""`smule-party +party=my_side.yaml`: one party between hosts."""

from __future__ import annotations

from rich.console import Console

from smule_crypten.errors import INTERRUPTED_EXIT_CODE, PeerError
from smule_crypten.launch.info import party_usage
from smule_crypten.launch.side_command import NEXT_STEPS, run_side_command
from smule_crypten.launch.side_file import read_party
from smule_crypten.report.logs import configure_logging

_GO_ON = "start the same command again, at all sides: the run goes on from the last exchange that both parties saved"
USAGE = """smule-party +party=my_side.yaml [key=value ...]

Runs one party between hosts, as my_side.yaml says: its role, data, model, certificates and addresses.
The file may also stand alone, without +party=. docs/two-hosts.md has a complete example.
Run smule-doctor +party=my_side.yaml before.
"""


def main() -> None:
    """Console entry point."""
    next_steps = {**NEXT_STEPS, PeerError.exit_code: _GO_ON, INTERRUPTED_EXIT_CODE: _GO_ON}
    run_side_command(lambda everything: party_usage(USAGE, everything), _run, next_steps)


def _run(arguments: list[str]) -> None:
    # Imported late: it takes seconds, which --help and a mistake in the file need not wait for.
    from smule_crypten.compute.started import rank_outside
    from smule_crypten.compute.worker import work_outside
    from smule_crypten.party.single_party import run_single_party

    config = read_party(arguments)
    configure_logging(config.launch.log_level.upper())
    if rank_outside(config.compute):
        work_outside(config.compute, config.launch, config.device, config.name)
    else:
        run_single_party(config, Console())
