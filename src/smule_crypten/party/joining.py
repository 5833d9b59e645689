"""From configuration to a scheme that is ready for use: ledger, terms and audit log, links, session, handshake.

The steps are the same for whatever the parties then do together.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from smule_crypten.audit.auditor import Auditor, audited
from smule_crypten.audit.events import Command
from smule_crypten.compute.device import resolve_device
from smule_crypten.config.run import PartyConfig
from smule_crypten.data.samples import DataBundle
from smule_crypten.files import PRIVATE_FOLDER_MODE
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.architecture import Architecture
from smule_crypten.mpc.session import Session, open_session
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.handshake import Architectures, handshake, run_handshake
from smule_crypten.party.disclosing import audit_path, ledger_path
from smule_crypten.party.inputs import public_configuration
from smule_crypten.party.links import meet_others
from smule_crypten.transport.frames import AGREED_JSON_BYTES

log = logging.getLogger(__name__)


@contextmanager
def opened_budget(budget: QueryBudget, config: PartyConfig) -> Iterator[None]:
    """Keep the ledger for this process, before anybody is met."""
    with budget:
        log.info(
            "ledger opened path=%s lines=%d last_digest=%s answered=%d answered_to_others=%d",
            ledger_path(config),
            len(budget.ledger.entries),
            budget.ledger.digest,
            budget.answered,
            budget.answered_to_others,
        )
        yield


def audit_of(
    config: PartyConfig, bundle: DataBundle, budget: QueryBudget, command: Command
) -> AbstractContextManager[Auditor]:
    """Keep the audit log, and see that both parties approved what begins, before anybody is met; budget is entered.

    Raises:
        TermsError, OutputError: as audited.
    """
    path = audit_path(config)
    if config.connection is not None and config.audit.path is None:
        path.parent.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    return audited(config, public_configuration(config, bundle), budget, path, command)


@contextmanager
def joined_session(config: PartyConfig, audit: Auditor) -> Iterator[Session]:
    """Meet the others, by the certificates that the terms were held against, and open a session with them."""
    links = meet_others(config, expected=audit.fingerprints)
    log.info("connected to=%s", ",".join(links))
    with open_session(
        links,
        config.rank,
        precision_bits=config.scheme.precision_bits,
        randomness=config.randomness,
        seed=config.seed,
    ) as session:
        yield session


def shake_hands(
    config: PartyConfig, bundle: DataBundle, own: Architecture, session: Session, audit: Auditor
) -> Architectures:
    """Agree with the peer on all that is public, the terms with it; the architectures of party a and party b.

    Raises:
        HandshakeError: the parties disagree.
        TermsError: the terms have ended while this side waited.
    """
    audit.check_dates()
    protocol = public_configuration(config, bundle).model_copy(update={"terms": audit.terms_digest})
    architectures = run_handshake(handshake(protocol, config.rank, own), session.channel.swap_json)
    for link in session.links:
        link.limit_messages(AGREED_JSON_BYTES)
    log.info("handshake agreed digest=%s", protocol.digest())
    audit.session_opened(protocol.digest())
    return architectures


def prepared_scheme(config: PartyConfig, session: Session, architectures: Architectures) -> SecureInferenceScheme:
    """The configured scheme, with the dealer's consent."""
    scheme, device = scheme_class(config.scheme.name), resolve_device(config.device)
    return scheme(session, config.scheme, architectures, device, opening=config.opening)
