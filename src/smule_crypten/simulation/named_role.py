"""One process of a simulation in this very process: in three shells, or under CrypTen's launcher."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from smule_crypten.config.run import RunConfig
from smule_crypten.errors import ConfigError
from smule_crypten.party.dealing import run_simulated_dealer
from smule_crypten.party.single_party import run_single_party
from smule_crypten.simulation.simulated_party import run_simulated_inputs
from smule_crypten.transport.meeting import DEALER, ENVIRONMENT_KEYS, ROLES, role_from_environment


def named_by_environment() -> bool:
    """Whether the environment says that this process has a role. Half a description counts, and is refused later."""
    return any(key in os.environ for key in ENVIRONMENT_KEYS)


def run_named_role(run: RunConfig, run_dir: Path, console: Console) -> None:
    """Run the role that SMULE_ROLE names; the others must be started with the same configuration.

    What needs both sides (pooled data, fidelity) is left out.

    Raises:
        SmuleError: anything a user can cause.
    """
    role = role_from_environment()
    if role == DEALER and not run.needs_dealer:
        who = "party a deals" if run.deals else f"scheme={run.scheme.name} has no dealer"
        raise ConfigError(f"SMULE_ROLE=dealer: {who}; start a and b alone")
    if role == DEALER:
        exchanges = run_simulated_dealer(lambda event: None, run.launch)
        console.print(f"the dealer: dealt {exchanges} exchanges")
    else:
        run_single_party(run.party(ROLES.index(role), str(run_dir)), console, run_simulated_inputs)
