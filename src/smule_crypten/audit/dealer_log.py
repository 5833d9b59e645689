"""The audit log of a dealer: whom it dealt to, when and how often, and what it refused.

A dealer knows no run by the name that the parties' ledgers give it. Each session with both of them gets a name here.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from smule_crypten._version import __version__
from smule_crypten.audit import events
from smule_crypten.audit.log import AuditLog, opened_log
from smule_crypten.audit.outcomes import kind_of, outcome_of, refusal_of
from smule_crypten.errors import OutputError

log = logging.getLogger(__name__)


class DealerAudit:
    """Writes what the dealer tells of itself.

    Args:
        parties: fingerprints of the certificates of party a and party b.
    """

    def __init__(self, audit_log: AuditLog, parties: tuple[str, str]) -> None:
        self._log, self._parties = audit_log, parties
        self._in_session = 0
        self.exchanges = 0
        """Of all sessions of this process."""

    @contextmanager
    def session(self) -> Iterator[None]:
        """Both parties are there; the end is told with the kind of the error, if there is one."""
        self._log.run, self._in_session = uuid.uuid4().hex, 0
        self._log.append(events.Dealing(party_a=self._parties[0], party_b=self._parties[1]))
        try:
            yield
        except BaseException as error:
            with suppress(OutputError):  # the first error is the one to show
                self._end(error)
            raise
        else:
            self._end(None)
        finally:
            self._log.run = None

    def stated(self, scheme: str, agreement: str) -> None:
        """Both parties want the same: this scheme, and all else by its digest."""
        self._log.append(events.Stated(scheme=scheme, agreement=agreement))

    def dealt(self, index: int, counts: tuple[int, int]) -> None:
        """Keys and corrections for an exchange leave now."""
        self._log.append(events.Dealt(index=index, asked_by_a=counts[0], asked_by_b=counts[1]))
        self._in_session += 1
        self.exchanges += 1

    def _end(self, error: BaseException | None) -> None:
        if (refused := refusal_of(error)) is not None:
            self._log.append(refused)
        outcome, kind = outcome_of(error), kind_of(error)
        self._log.append(events.DealingEnded(outcome=outcome, exchanges=self._in_session, error=kind))


@contextmanager
def audited_dealer(path: Path, certificate: str, parties: tuple[str, str]) -> Iterator[DealerAudit]:
    """Keep the log for this process.

    Args:
        path: of the log; its folder exists.
        certificate, parties: fingerprints of the dealer's own certificate, and of those of party a and party b.

    Raises:
        OutputError: the log is damaged, in use, or cannot be written.
    """
    with opened_log(path, "dealer", if_taken="set another output_dir") as audit_log:
        if audit_log.recovered:
            log.warning("audit log recovered: an earlier process was cut off while it wrote its last line")
        party_a, party_b = parties
        audit_log.append(
            events.DealerStarted(version=__version__, certificate=certificate, party_a=party_a, party_b=party_b)
        )
        try:
            yield DealerAudit(audit_log, parties)
        except BaseException as error:
            with suppress(OutputError):
                audit_log.append(events.Ended(outcome=outcome_of(error), error=kind_of(error)))
            raise
        else:
            audit_log.append(events.Ended(outcome="completed"))
        finally:
            log.info("audit log closed path=%s lines=%d last_digest=%s", path, audit_log.num_lines, audit_log.digest)
