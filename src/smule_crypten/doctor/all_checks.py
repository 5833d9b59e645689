"""All checks of smule-doctor, in order: what a side can fix before the day of a run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial

from smule_crypten.config.connection import ConnectionConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.doctor import checkup_local as local
from smule_crypten.doctor import checkup_network as network
from smule_crypten.doctor.checkup import Check, Checkup, Finding, run_checks
from smule_crypten.doctor.checkup_terms import check_audit_log, check_terms
from smule_crypten.transport.meeting import DEALER, ROLES

DEFAULT_WAIT_SECONDS = 20.0


def examine(
    config: PartyConfig,
    settings: ConnectionConfig,
    *,
    wait_seconds: float,
    rehearse: bool,
    say: Callable[[str], None] = lambda text: None,
) -> Generator[Finding]:
    """Findings as they are made; nothing is changed, here or at the others.

    Args:
        settings: config.connection.
        wait_seconds: for the other side's doctor, and for the dealer where there is one.
        say: hears for whom, where and how long a check waits.
        rehearse: whether to measure an exchange on this machine, which takes some seconds.
    """
    checkup = Checkup(config=config, connection=settings, wait_seconds=wait_seconds, say=say)
    peer = ROLES[1 - config.rank]
    try:
        yield from run_checks(checkup, [*_alone(settings, peer), *_with_others(settings, peer)])
    finally:
        if checkup.link is not None:
            checkup.link.close()
    rehearsal = [("rehearsal", network.check_rehearsal)] if rehearse else []
    yield from run_checks(checkup, [*rehearsal, ("one exchange", network.check_cost)])


def _alone(settings: ConnectionConfig, peer: str) -> list[tuple[str, Check]]:
    return [
        ("versions", local.check_versions),
        ("device", local.check_device),
        ("data", local.check_data),
        ("one batch", local.check_batch),
        ("model", local.check_model),
        ("fixed point", local.check_range),
        ("own certificate", local.check_own_certificate),
        ("private key", local.check_key),
        (f"certificate of {peer}", partial(local.check_certificate_of, peer, settings.peer.certificate)),
        *_certificate_of_dealer(settings),
        ("terms", check_terms),
        ("output folder", local.check_output),
        ("query budget", local.check_budget),
        ("audit log", check_audit_log),
    ]


def _certificate_of_dealer(settings: ConnectionConfig) -> list[tuple[str, Check]]:
    if settings.dealer is None:
        return []
    return [(f"certificate of {DEALER}", partial(local.check_certificate_of, DEALER, settings.dealer.certificate))]


def _with_others(settings: ConnectionConfig, peer: str) -> list[tuple[str, Check]]:
    checks: list[tuple[str, Check]] = [
        # First the peer: both sides come here at about the same time, whatever becomes of the dealer.
        (peer, network.check_peer),
        (f"clock of {peer}", partial(network.check_clock_of, peer)),
        ("agreement", network.check_agreement),
    ]
    if settings.dealer is not None:
        checks += [
            (DEALER, partial(network.check_dealer, settings.dealer)),
            (f"clock of {DEALER}", partial(network.check_clock_of, DEALER)),
        ]
    return checks
