"""The process of a dealer between hosts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from smule_crypten.audit.dealer_log import DealerAudit, audited_dealer
from smule_crypten.config.dealer import DealerConfig
from smule_crypten.errors import PeerError, PeerTimeoutError, ProtocolError, SmuleError
from smule_crypten.files import LOCK_FILE, PRIVATE_FOLDER_MODE, exclusive, output_error
from smule_crypten.party.dealing import deal
from smule_crypten.party.links import meeting_of_dealer
from smule_crypten.party.run_folder import AUDIT_FILE
from smule_crypten.status.keeper import StatusKeeper, kept_status
from smule_crypten.status.record import Progress
from smule_crypten.transport.credentials import load_certificate
from smule_crypten.transport.link import Link
from smule_crypten.transport.meeting import ROLES

log = logging.getLogger(__name__)
FOLDER = "dealer"


def serve_runs(config: DealerConfig) -> None:
    """The dealer between hosts: one run after another, config.runs of them or until it is stopped.

    A run that fails ends with a line in the log, and the next one can come. A dealer of a fixed number of runs says
    how the last one ended.

    Raises:
        ConfigError, CredentialError: it cannot listen, or a certificate or key is unusable.
        OutputError: its folder or its audit log cannot be written, or another dealer has it.
        PeerError, ProtocolError: the last of config.runs runs failed.
    """
    torch.set_num_threads(config.launch.threads)
    with _opened(config) as watched:
        served = 0
        while True:
            links = _meet_both(config)
            served += 1
            try:
                exchanges = watched.deal(links)
                log.info("run completed exchanges=%d", exchanges)
            except (PeerError, ProtocolError):
                if served == config.runs:
                    raise
            if served == config.runs:
                return


@dataclass(frozen=True)
class _Watched:
    """Hears of the dealing, for the audit log and the status."""

    audit: DealerAudit
    status: StatusKeeper

    def deal(self, links: dict[str, Link]) -> int:
        """One run; returns the exchanges."""
        self.status.take(Progress(phase="serving", peer_connected=True))
        try:
            with self.audit.session():
                return deal(links, allow_insecure=False, on_failure=_log_failure, listener=self)
        finally:
            self.status.take(Progress(phase="waiting", peer_connected=False))

    def stated(self, scheme: str, agreement: str) -> None:
        self.audit.stated(scheme, agreement)

    def dealt(self, index: int, counts: tuple[int, int]) -> None:
        self.audit.dealt(index, counts)
        self.status.take(Progress(exchanges=self.audit.exchanges))


@contextmanager
def _opened(config: DealerConfig) -> Iterator[_Watched]:
    """The dealer's folder, for this process alone."""
    folder = Path(config.output_dir) / FOLDER
    own, party_a, party_b = (
        load_certificate(Path(path)) for path in (config.certificate, config.party_a, config.party_b)
    )
    try:
        folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    fingerprints = party_a.fingerprint, party_b.fingerprint
    with (
        exclusive(folder / LOCK_FILE, str(folder), if_taken="set another output_dir"),
        kept_status(folder, "dealer") as status,
        audited_dealer(folder / AUDIT_FILE, own.fingerprint, fingerprints) as audit,
    ):
        status.take(Progress(phase="waiting"))
        yield _Watched(audit, status)


def _log_failure(error: SmuleError) -> None:
    log.warning("run failed: %s", error)


def _meet_both(config: DealerConfig) -> dict[str, Link]:
    """Wait for both parties, as long as it takes. Only what changes is logged: a dealer may wait for weeks."""
    seconds = config.launch.join_seconds
    said = f"{ROLES[0]} and {ROLES[1]} did not come within {seconds:g} seconds"
    log.info("waiting for=%s,%s listening=%s", ROLES[0], ROLES[1], config.listen)
    while True:
        try:
            links = meeting_of_dealer(config).meet()
        except PeerTimeoutError as error:
            if str(error) != said:
                log.info("nobody to deal to: %s", error)
            said = str(error)
        else:
            log.info("connected to=%s", ",".join(links))
            return links
