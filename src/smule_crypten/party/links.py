"""Meeting the other processes, between hosts or in a simulation; what follows is the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from smule_crypten.config.connection import ConnectionConfig
from smule_crypten.config.dealer import DealerConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import CredentialError
from smule_crypten.transport.credentials import Certificate, check_distinct, load_certificate, load_identity
from smule_crypten.transport.endpoint import Address, listen
from smule_crypten.transport.link import Link
from smule_crypten.transport.meeting import DEALER, ROLES, Meeting, simulated_meeting


def meet_others(
    config: PartyConfig, *, with_dealer: bool | None = None, expected: Mapping[str, str] | None = None
) -> dict[str, Link]:
    """A party's links by role.

    Args:
        with_dealer: whether one takes part in a simulation; None where the scheme decides.
        expected: fingerprints of all certificates, by a, b and dealer, as this process has read them before; None where
            it has not.

    Raises:
        ConfigError, CredentialError, PeerTimeoutError: see transport/meeting.py.
    """
    role = ROLES[config.rank]
    launch = config.launch
    if config.connection is not None:
        meeting = _meeting_of_party(config, config.connection, expected)
    else:
        meeting = simulated_meeting(
            role,
            with_dealer=config.needs_dealer if with_dealer is None else with_dealer,
            join_seconds=launch.join_seconds,
            deadline_seconds=launch.deadline_seconds,
        )
    return meeting.meet()


def meeting_of_dealer(config: DealerConfig) -> Meeting:
    """The dealer between hosts: waits for both parties.

    Raises:
        ConfigError, CredentialError: it cannot listen, or a certificate or key is unusable.
    """
    identity = load_identity(Path(config.certificate), Path(config.key))
    party_a, party_b = (load_certificate(Path(path)) for path in (config.party_a, config.party_b))
    check_distinct({"certificate": identity.certificate, "party_a": party_a, "party_b": party_b})
    return Meeting(
        role=DEALER,
        identity=identity,
        listener=listen(Address.parse(config.listen, "listen")),
        addresses={},
        certificates={ROLES[0]: party_a, ROLES[1]: party_b},
        join_seconds=config.launch.join_seconds,
        deadline_seconds=config.launch.deadline_seconds,
    )


def _meeting_of_party(config: PartyConfig, connection: ConnectionConfig, expected: Mapping[str, str] | None) -> Meeting:
    role, peer = ROLES[config.rank], ROLES[1 - config.rank]
    identity = load_identity(Path(connection.certificate), Path(connection.key))
    keys = {peer: "connection.peer", DEALER: "connection.dealer"}
    remotes = {peer: (connection.peer.certificate, connection.peer.address)}
    if connection.dealer is not None:
        remotes[DEALER] = connection.dealer.certificate, connection.dealer.address
    certificates = {name: load_certificate(Path(path)) for name, (path, _) in remotes.items()}
    pinned = {f"{keys[name]}.certificate": certificate for name, certificate in certificates.items()}
    check_distinct({"connection.certificate": identity.certificate} | pinned)
    if expected is not None:
        _check_unchanged({role: identity.certificate} | certificates, expected)
    return Meeting(
        role=role,
        identity=identity,
        listener=None if connection.listen is None else listen(Address.parse(connection.listen, "connection.listen")),
        addresses={
            name: Address.parse(address, f"{keys[name]}.address")
            for name, (_, address) in remotes.items()
            if address is not None
        },
        certificates=certificates,
        join_seconds=config.launch.join_seconds,
        deadline_seconds=config.launch.deadline_seconds,
    )


def _check_unchanged(certificates: Mapping[str, Certificate], expected: Mapping[str, str]) -> None:
    """Raises CredentialError where a file holds another certificate than when the terms were held against it."""
    for role, certificate in certificates.items():
        if certificate.fingerprint != expected[role.split()[-1]]:
            raise CredentialError(
                f"certificate {certificate.path} of {role} was replaced after the terms were checked; start again"
            )
