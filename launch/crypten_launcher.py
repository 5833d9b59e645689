"""`python -m smule_crypten.launch.crypten_launcher`: both parties as processes of CrypTen's own launcher.

Takes the same overrides as `smule`; what only a simulation can do (pooled data, fidelity, report) is left out.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from smule_crypten.config.run import RunConfig
from smule_crypten.errors import PartyFailedError, PeerDeclinedError, PeerError
from smule_crypten.launch.command import print_banner, remove_if_empty
from smule_crypten.launch.composition import to_run_config
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.mpc.compat import crypten
from smule_crypten.simulation.named_role import run_named_role
from smule_crypten.simulation.simulation import check_inputs
from smule_crypten.transport.meeting import ROLES, role_environment


def main() -> None:
    """Compose once, then let CrypTen start the parties."""
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.exit(exit_code_of(_task))


@hydra.main(version_base="1.3", config_path="pkg://smule_crypten.conf", config_name="config")
def _task(composed: DictConfig) -> None:
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    exit_code = exit_code_of(lambda: _run(to_run_config(composed), run_dir))
    if exit_code:
        remove_if_empty(run_dir)
    sys.exit(exit_code)


def _run(run: RunConfig, run_dir: Path) -> None:
    print_banner(run, Console())
    check_inputs(run)
    # CrypTen reports nothing of a party that raises, so each returns its exit code.
    num_processes = 3 if run.party(0, str(run_dir)).needs_dealer else 2
    exit_codes = crypten.mpc.run_multiprocess(num_processes)(_role)(run, run_dir)
    if exit_codes is None or any(exit_codes):
        error = PartyFailedError("a party failed; its message stands above")
        causes = [
            code for code in exit_codes or [] if code not in (0, PeerError.exit_code, PeerDeclinedError.exit_code)
        ]
        # What a party heard of another one's end is no cause, where that one says what it was.
        error.exit_code = max(causes or exit_codes or [PartyFailedError.exit_code])
        raise error


def _role(run: RunConfig, run_dir: Path) -> int:
    # Here CrypTen has set its own variables; elsewhere RANK may be that of a process of one party.
    os.environ |= role_environment(ROLES[int(os.environ["RANK"])], os.environ["RENDEZVOUS"])
    return exit_code_of(lambda: run_named_role(run, run_dir, Console()))


if __name__ == "__main__":
    main()
