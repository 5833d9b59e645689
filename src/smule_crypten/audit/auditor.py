"""Writes into the audit log what a party's process does, as the process tells of it.

What is counted comes from those who count: the ledger of disclosures, and the record of each exchange.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from smule_crypten._version import __version__
from smule_crypten.audit import events
from smule_crypten.audit.log import AuditLog, opened_log
from smule_crypten.config.between_hosts import NO_TERMS
from smule_crypten.config.party import DisclosureLimits
from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import (
    BudgetError,
    CredentialError,
    HandshakeError,
    OutputError,
    PeerDeclinedError,
    ProtocolError,
    RestartError,
    SmuleError,
    TermsError,
)
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.disclosures import Entry
from smule_crypten.report.records import ExchangeRecord
from smule_crypten.terms.approval import Approval, Side, approval_of

log = logging.getLogger(__name__)
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


class Auditor:
    """Hears what a process does. Without a log, as in a simulation, that leads nowhere.

    terms: by which the process runs; None where nobody has approved anything.
    """

    def __init__(self, audit_log: AuditLog | None = None, parties: Mapping[str, str | None] | None = None) -> None:
        self._log, self._parties = audit_log, dict(parties or {})
        self.terms: Approval | None = None
        self._is_completed = False

    @property
    def terms_digest(self) -> str | None:
        """Of the terms, for the handshake."""
        return None if self.terms is None else self.terms.digest

    def session_opened(self, agreement: str) -> None:
        """The handshake is through; digest of what was agreed on."""
        self._write(events.SessionOpened, agreement=agreement, **self._parties)

    def resumed(self, exchange: int) -> None:
        """It goes on after so many exchanges."""
        self._write(events.Resumed, exchange=exchange)

    def charged(self, entry: Entry) -> None:
        """A line is in the ledger, and will now be answered."""
        self._write(
            events.Answers,
            exchange=entry.query_id,
            attempt=entry.attempt,
            kind=entry.kind,
            answers=entry.num_samples,
            ledger=entry.digest,
        )

    def exchanged(self, number: int, record: ExchangeRecord) -> None:
        """An exchange is through."""
        self._write(
            events.Exchanged,
            exchange=number,
            asked=record.queries_made,
            answered=record.queries_answered,
            public_asked=record.public_made,
            public_answered=record.public_answered,
            dropped=record.answers_dropped,
        )

    def alarmed(self, alarm: Mapping[str, Any]) -> None:
        """An alarm has fired; it is told without its evidence, which speaks of this party's samples."""
        self._write(events.Alarmed, **{key: alarm[key] for key in ("exchange", "test", "p_value", "suspects")})

    def predicted(self, asked: int, answered: int, dropped: int) -> None:
        """What a trained party wanted to know is answered, and what it was asked."""
        self._write(events.Predicted, asked=asked, answered=answered, dropped=dropped)

    def completed(self) -> None:
        """What the process was started for is done; what fails afterwards changes nothing of it."""
        self._is_completed = True

    def begin(
        self, config: PartyConfig, protocol: ProtocolConfig, budget: QueryBudget, command: events.Command
    ) -> None:
        """Say who starts what, by which terms, and what its operator has set aside.

        Raises:
            TermsError: the run is not what both parties have signed.
        """
        if self._log is None:
            return
        self._log.run = budget.ledger.run
        if self._log.recovered:
            log.warning("audit log recovered: an earlier process was cut off while it wrote its last line")
        limits = DisclosureLimits(**{name: getattr(config.disclosure, name) for name in DisclosureLimits.model_fields})
        raised = _raised(self._log, limits, self._parties["peer"])
        certificate = Side.of(config, protocol).certificates[config.role].fingerprint
        self._write(
            events.Started,
            command=command,
            version=__version__,
            certificate=certificate,
            limits=limits,
            **self._parties,
        )
        for override in (*_set_aside(config), *raised):
            self._log.append(override)
        self.terms = approval = approval_of(config, protocol)
        if approval is not None:
            terms, signed_at = approval.terms, approval.signed_at
            self._write(
                events.TermsApproved,
                digest=approval.digest,
                not_before=terms.not_before,
                not_after=terms.not_after,
                signed_by_a=signed_at["a"],
                signed_by_b=signed_at["b"],
            )
        budget.ledger.on_entry = self.charged

    def end(self, error: BaseException | None) -> None:
        """Say how the process ends; an error of ours by its kind."""
        name = type(error).__name__ if isinstance(error, SmuleError) else None
        if self._is_completed or error is None:
            self._write(events.Ended, outcome="completed")
            return
        outcome: events.Outcome = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        if isinstance(error, _REFUSALS):
            outcome = "refused"
            self._write(events.Refused, error=name, exit_code=error.exit_code)
        self._write(events.Ended, outcome=outcome, error=name)

    def _write(self, kind: Any, /, **values: Any) -> None:
        if self._log is not None:
            self._log.append(kind(**values))


@contextmanager
def audited(
    config: PartyConfig, protocol: ProtocolConfig, budget: QueryBudget, path: Path, command: events.Command
) -> Iterator[Auditor]:
    """Keep the audit log for this process, and let it begin only by approved terms.

    Args:
        protocol: what this party will say of itself in the handshake.
        budget: entered; each line of its ledger is told from here on.
        path: of the log; its folder exists.

    Raises:
        TermsError: the run is not what both parties have signed.
        OutputError: the log is damaged, in use, or cannot be written.
    """
    if config.connection is None:
        yield Auditor()
        return
    certificates = Side.of(config, protocol).certificates
    dealer = certificates.get("dealer")
    peer = next(known for role, known in certificates.items() if role not in (config.role, "dealer"))
    parties = {"peer": peer.fingerprint, "dealer": None if dealer is None else dealer.fingerprint}
    with opened_log(path, config.role) as audit_log:
        auditor = Auditor(audit_log, parties)
        try:
            auditor.begin(config, protocol, budget, command)
            yield auditor
        except BaseException as error:
            with suppress(OutputError):  # the first error is the one to show
                auditor.end(error)
            raise
        else:
            auditor.end(None)
        finally:
            log.info("audit log closed path=%s lines=%d last_digest=%s", path, audit_log.num_lines, audit_log.digest)


def _set_aside(config: PartyConfig) -> Iterator[events.Override]:
    if config.terms == NO_TERMS:
        yield events.Override(key="terms", now=NO_TERMS)
    if config.launch.accept_restart:
        yield events.Override(key="launch.accept_restart", now="true")
    if config.allow_insecure:
        yield events.Override(key="allow_insecure", now="true")


def _raised(audit_log: AuditLog, limits: DisclosureLimits, peer: str | None) -> list[events.Override]:
    """Limits that allow more than when the last process with this peer started; null allows most."""
    earlier = [line.details for line in audit_log.before if isinstance(line.details, events.Started)]
    last = next((started.limits for started in reversed(earlier) if started.peer == peer), None)
    if last is None:
        return []
    raised = []
    for name in ("max_answers_total", "max_answers_per_exchange", "repeats"):
        before, now = getattr(last, name), getattr(limits, name)
        if before is not None and (now is None or now > before):
            raised.append(events.Override(key=f"disclosure.{name}", before=before, now=now))
    if limits.logit_noise < last.logit_noise:
        raised.append(events.Override(key="disclosure.logit_noise", before=last.logit_noise, now=limits.logit_noise))
    return raised
