"""Writes into the audit log what a party's process does, as the process tells of it.

What is counted comes from those who count: the ledger of disclosures, and the record of each exchange.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from smule_crypten._version import __version__
from smule_crypten.audit import events
from smule_crypten.audit.events import Event, Line
from smule_crypten.audit.log import AuditLog, opened_log
from smule_crypten.audit.outcomes import kind_of, outcome_of, refusal_of
from smule_crypten.config.between_hosts import NO_TERMS
from smule_crypten.config.party import DisclosureLimits
from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import OutputError
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.disclosures import Entry
from smule_crypten.report.records import ExchangeRecord, HeadRecord
from smule_crypten.terms.approval import Approval, Side, approval_of, check_dates

log = logging.getLogger(__name__)


class Auditor:
    """Hears what a process does. Without a log, as in a simulation, that leads nowhere.

    Args:
        side: whose log it is.

    terms: by which the process runs; None where nobody has approved anything.
    """

    def __init__(self, audit_log: AuditLog | None = None, side: Side | None = None) -> None:
        self._log, self._side = audit_log, side
        self._parties = {} if side is None else _others(side)
        self.terms: Approval | None = None
        self._is_completed = False

    @property
    def terms_digest(self) -> str | None:
        """Of the terms, for the handshake."""
        return None if self.terms is None else self.terms.digest

    @property
    def fingerprints(self) -> Mapping[str, str] | None:
        """Of the certificates that were held against the terms, and are in the log, by role; None in a simulation."""
        if self._side is None:
            return None
        return {role: certificate.fingerprint for role, certificate in self._side.certificates.items()}

    def check_dates(self) -> None:
        """Raises TermsError where the terms have ended since the process began; asked before each exchange."""
        if self.terms is not None:
            check_dates(self.terms.terms, self.terms.path)

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

    def head_asked(self, record: HeadRecord) -> None:
        """The joint head is there, and what this side knows of it."""
        asked, answered, revealed = record.answers_got, record.answers_given, record.is_revealed
        self._write(events.HeadAsked, asked=asked, answered=answered, revealed=revealed)

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
        if self._log is None or self._side is None:
            return
        self._log.run = budget.ledger.run
        if self._log.recovered:
            log.warning("audit log recovered: an earlier process was cut off while it wrote its last line")
        limits = DisclosureLimits(**{name: getattr(config.disclosure, name) for name in DisclosureLimits.model_fields})
        earlier = _with_peer(self._log.before, {self._parties["peer"], *config.disclosure.former_fingerprints})
        loosened = [*_raised(earlier, limits), *_another_ledger(earlier, budget)]
        self._write(
            events.Started,
            command=command,
            version=__version__,
            certificate=self._side.certificates[config.role].fingerprint,
            limits=limits,
            ledger=budget.ledger.digest,
            answered=budget.answered,
            **self._parties,
        )
        for override in (*_set_aside(config), *loosened):
            self._log.append(override)
        self.terms = approval = approval_of(config, protocol, self._side)
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
        error = None if self._is_completed else error
        if self._log is not None and (refused := refusal_of(error)) is not None:
            self._log.append(refused)
        self._write(events.Ended, outcome=outcome_of(error), error=kind_of(error))

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
    side = Side.of(config, protocol)
    with opened_log(path, config.role) as audit_log:
        auditor = Auditor(audit_log, side)
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


def _others(side: Side) -> dict[str, str | None]:
    """Fingerprints of the others that take part."""
    dealer = side.certificates.get("dealer")
    peer = side.certificates["b" if side.party == "a" else "a"]
    return {"peer": peer.fingerprint, "dealer": None if dealer is None else dealer.fingerprint}


def _with_peer(lines: Sequence[Line], peers: Collection[str | None]) -> list[Event]:
    """What the log says of processes with this peer, whatever certificate it had."""
    found, is_with = [], False
    for line in lines:
        if isinstance(line.details, events.Started):
            is_with = line.details.peer in peers
        if is_with:
            found.append(line.details)
    return found


def _raised(earlier: Sequence[Event], limits: DisclosureLimits) -> Iterator[events.Override]:
    """Limits that allow more than when the last process with this peer started; null allows most."""
    last = next((event.limits for event in reversed(earlier) if isinstance(event, events.Started)), None)
    if last is None:
        return
    for name in ("max_answers_total", "max_answers_per_exchange", "repeats"):
        before, now = getattr(last, name), getattr(limits, name)
        if before is not None and (now is None or now > before):
            yield events.Override(key=f"disclosure.{name}", before=before, now=now)
    if limits.logit_noise < last.logit_noise:
        yield events.Override(key="disclosure.logit_noise", before=last.logit_noise, now=limits.logit_noise)


def _another_ledger(earlier: Sequence[Event], budget: QueryBudget) -> Iterator[events.Override]:
    """A ledger that lacks what the last process with this peer entered: limits of all answers count from zero."""
    last = next((event.ledger for event in reversed(earlier) if isinstance(event, events.Answers)), None)
    if last is not None and all(entry.digest != last for entry in budget.ledger.entries):
        yield events.Override(key="disclosure.ledger", before=last, now=budget.ledger.digest)
