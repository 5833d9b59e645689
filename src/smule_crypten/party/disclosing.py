"""How a party counts queries: whose, in which ledger, and how far back it goes when the other party is behind."""

from __future__ import annotations

import uuid
from pathlib import Path

from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import OutputError
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.party.run_folder import (
    AUDIT_FILE,
    HEAD_FILE,
    LEDGER_FILE,
    RUN_FILE,
    identify_run,
    known_run,
    party_folder,
)
from smule_crypten.party.states import StateFolder
from smule_crypten.transport.credentials import load_certificate


def ledger_path(config: PartyConfig) -> Path:
    """The party's ledger; of a link, the file that it leads to."""
    ledger = config.disclosure.ledger
    return (party_folder(config) / LEDGER_FILE if ledger is None else Path(ledger)).resolve()


def audit_path(config: PartyConfig) -> Path:
    """The party's audit log; of a link, the file that it leads to."""
    path = config.audit.path
    return (party_folder(config) / AUDIT_FILE if path is None else Path(path)).resolve()


def budget_of_run(config: PartyConfig, states: StateFolder) -> QueryBudget:
    """The budget of the run in the party's folder, which gets its identity here.

    Raises:
        CredentialError: the peer's certificate cannot be read.
        OutputError: the ledger cannot be read, or does not know a run that goes on; or a private training has answered
            and its states are gone.
    """
    states.check()
    if not any(states.completed()):
        budget = _budget(config, identify_run(config, states))
        if config.training.dp is not None and budget.charged and not states.completed():
            raise OutputError(
                f"the run in {party_folder(config)} has answered, but its states are gone; with training.dp samples "
                "would be trained on a second time, which epsilon does not count; restore the states"
            )
        return budget
    budget = budget_so_far(config, states)
    if not budget.charged:
        raise OutputError(
            f"ledger {ledger_path(config)} knows nothing of the run that goes on in {party_folder(config)}; "
            f"set disclosure.ledger as before, restore it and {RUN_FILE}, or begin again in another output folder"
        )
    return budget


def budget_so_far(config: PartyConfig, states: StateFolder) -> QueryBudget:
    """As budget_of_run, for looking only: nothing is written.

    Raises:
        CredentialError, OutputError: as budget_of_run.
    """
    return _budget(config, known_run(config, states))


def budget_of_questions(config: PartyConfig) -> QueryBudget:
    """The budget for what a trained party is asked outside of a run. Each time counts from zero, on top of all before.

    Raises:
        CredentialError, OutputError: as budget_of_run.
    """
    return _budget(config, uuid.uuid4().hex)


def oldest_start(config: PartyConfig, states: StateFolder) -> int:
    """The first of the completed exchanges that the party goes on from, whatever the other one has completed.

    That is the last but one: the other party may have been cut off before it saved the last one. With training.dp it is
    the last one: a training from an earlier state would use the same noise for other soft labels.
    """
    last = max(states.completed(), default=0)
    if config.training.dp is not None:
        return last
    return 0 if config.launch.accept_restart else max(0, last - 1)


def _budget(config: PartyConfig, run: str | None) -> QueryBudget:
    connection = config.connection
    peer = None if connection is None else load_certificate(Path(connection.peer.certificate)).fingerprint
    head = party_folder(config) / HEAD_FILE
    return QueryBudget(config.disclosure, ledger_path(config), run=run, peer=peer, head=head)
