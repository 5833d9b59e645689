"""How a process or a session ended, in the words of an audit log: by the kind of an error, never by its message."""

from __future__ import annotations

from smule_crypten.audit.events import Outcome, Refused
from smule_crypten.errors import (
    BudgetError,
    CredentialError,
    HandshakeError,
    PeerDeclinedError,
    ProtocolError,
    RestartError,
    SmuleError,
    TermsError,
)

_REFUSALS = (
    TermsError,
    BudgetError,
    HandshakeError,
    PeerDeclinedError,
    RestartError,
    CredentialError,
    ProtocolError,
)
"""Errors by which one side does not go on, though nothing is broken."""


def outcome_of(error: BaseException | None) -> Outcome:
    if error is None:
        return "completed"
    if isinstance(error, _REFUSALS):
        return "refused"
    return "stopped" if isinstance(error, KeyboardInterrupt) else "failed"


def kind_of(error: BaseException | None) -> str | None:
    """The name of an error of ours; None of others, and where all went well."""
    return type(error).__name__ if isinstance(error, SmuleError) else None


def refusal_of(error: BaseException | None) -> Refused | None:
    """The line that tells of a refusal; None where error is none."""
    return Refused(error=type(error).__name__, exit_code=error.exit_code) if isinstance(error, _REFUSALS) else None
