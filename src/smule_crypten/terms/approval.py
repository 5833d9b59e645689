"""Whether terms are approved by both parties, and whether a side is what they say.

1. The fingerprints in the terms are those of the certificates that this side has pinned.
2. Each party has signed, and its signature is by the key of its pinned certificate.
3. The moment lies between not_before and not_after: when a command starts, and again when it has met the other side.
4. All that is public of this side's configuration, and its disclosure limits, are those of the terms.

Whatever is not so ends with one line; nothing is taken for approved that could not be checked.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smule_crypten.config.between_hosts import NO_TERMS
from smule_crypten.config.config_reading import parse
from smule_crypten.config.party import DisclosureLimits
from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import CredentialError, TermsError, printable
from smule_crypten.report.formatting import flattened
from smule_crypten.terms.document import (
    PARTIES,
    Certificates,
    PartyName,
    Signatory,
    Signature,
    SignedTerms,
    Terms,
    canonical,
    moment,
    read_terms,
    written,
)
from smule_crypten.transport.credentials import Certificate, load_certificate, load_identity
from smule_crypten.transport.signatures import can_sign, is_signed, sign

_DOMAIN = "terms of version 1"
_NAMED = 3
"""So many differences are named, of more their number."""
_UNSET = "not set"
_LONGEST_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Side:
    """What terms are compared with: one party's own configuration, and the certificates that it has pinned.

    protocol: what it will say in the handshake. certificates: by role, a, b and perhaps dealer.
    """

    party: PartyName
    protocol: ProtocolConfig
    limits: DisclosureLimits
    certificates: Mapping[str, Certificate]

    @classmethod
    def of(cls, config: PartyConfig, protocol: ProtocolConfig) -> Side:
        """Of a party between hosts.

        Raises:
            CredentialError: a certificate cannot be read.
        """
        connection = config.connection
        assert connection is not None, "terms are between hosts"
        other = PARTIES[1 - config.rank]
        paths: dict[str, str] = {config.role: connection.certificate, other: connection.peer.certificate}
        if connection.dealer is not None:
            paths["dealer"] = connection.dealer.certificate
        limits = {name: getattr(config.disclosure, name) for name in DisclosureLimits.model_fields}
        return cls(
            party=config.role,
            protocol=protocol.model_copy(update={"terms": None}),
            limits=DisclosureLimits(**limits),
            certificates={role: load_certificate(Path(path)) for role, path in paths.items()},
        )

    def signatories(self) -> Certificates:
        """As they are in terms.

        Raises:
            ConfigError: a certificate bears a name that terms cannot have.
        """
        found = {
            role: parse(Signatory, {"name": known.name, "fingerprint": known.fingerprint})
            for role, known in self.certificates.items()
        }
        return Certificates(a=found["a"], b=found["b"], dealer=found.get("dealer"))


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Terms that both parties have signed, and by which this side may run.

    path: where they stand. signed_at: by party.
    """

    path: Path
    terms: Terms
    digest: str
    signed_at: Mapping[str, str]


def approval_of(config: PartyConfig, protocol: ProtocolConfig, side: Side | None = None) -> Approval | None:
    """By which terms this side may run now; None where it says that there are none, and in a simulation.

    Args:
        protocol: what this party will say of itself in the handshake.
        side: Side.of both, where the caller goes on with these very certificates; None reads them here.

    Raises:
        TermsError: the terms are not approved by both, not valid now, or not those of this side.
        CredentialError: a certificate cannot be read.
    """
    if config.connection is None or config.terms == NO_TERMS:
        return None
    assert config.terms is not None, "the configuration refuses that"
    path = Path(config.terms)
    document, side = read_terms(path), side or Side.of(config, protocol)
    check_certificates(document.terms, side, path)
    check_signatures(document, side, path)
    for party in PARTIES:
        if document.of(party) is None:
            name = side.certificates[party].name
            raise TermsError(
                f"terms {path} are not signed by party {party} ({name}), who does so with smule-terms sign"
            )
    check_dates(document.terms, path)
    check_side(document.terms, side, path)
    signed_at: dict[str, str] = {signature.party: signature.signed_at for signature in document.signatures}
    return Approval(path=path, terms=document.terms, digest=document.terms.digest(), signed_at=signed_at)


def signed(document: SignedTerms, config: PartyConfig, protocol: ProtocolConfig, path: Path) -> SignedTerms:
    """The same with this party's signature, of this moment.

    Args:
        path: where the document comes from.

    Raises:
        TermsError: it bears the signature already, or one that does not verify; or this side is not what the terms say;
            or they have expired.
        CredentialError: a certificate or the party's own key cannot be used.
    """
    side, connection = Side.of(config, protocol), config.connection
    assert connection is not None, "terms are between hosts"
    check_certificates(document.terms, side, path)
    check_signatures(document, side, path)
    if document.of(side.party) is not None:
        raise TermsError(f"terms {path} bear the signature of party {side.party} already; nothing is to be done here")
    if dt.datetime.now(dt.UTC) > moment(document.terms.not_after):
        raise TermsError(f"terms {path} ended on {document.terms.not_after}; propose new ones")
    check_side(document.terms, side, path)
    identity = load_identity(Path(connection.certificate), Path(connection.key))
    signed_at = written(dt.datetime.now(dt.UTC))
    raw = sign(identity, _DOMAIN, _message(document.terms, side.party, signed_at))
    signature = base64.b64encode(raw).decode("ascii")
    own = Signature(party=side.party, signed_at=signed_at, signature=signature)
    signatures = sorted((*document.signatures, own), key=lambda one: one.party)
    return SignedTerms(terms=document.terms, signatures=tuple(signatures))


def check_keys(side: Side) -> None:
    """Raises CredentialError where the key of a party's certificate is of a kind that signs no terms."""
    for party in PARTIES:
        certificate = side.certificates[party]
        if not can_sign(certificate):
            raise CredentialError(
                f"certificate {certificate.path} of party {party} is of a kind that signs no terms; exchange one that "
                "smule-keys init has made"
            )


def check_certificates(terms: Terms, side: Side, path: Path) -> None:
    """Whether the terms name the certificates that this side has pinned, and these can sign.

    Raises:
        TermsError: they name another certificate, or name.
        CredentialError: as check_keys.
    """
    check_keys(side)
    expected = {"certificates": side.signatories().model_dump(mode="json")}
    _refuse({"certificates": terms.certificates.model_dump(mode="json")}, expected, path)


def check_signatures(document: SignedTerms, side: Side, path: Path) -> None:
    """Raises TermsError where a signature that is there is not by the key of the pinned certificate."""
    for signature in document.signatures:
        message = _message(document.terms, signature.party, signature.signed_at)
        certificate = side.certificates[signature.party]
        if not is_signed(certificate, _DOMAIN, message, signature.raw()):
            raise TermsError(
                f"terms {path}: the signature of party {signature.party} is not by the key of {certificate.name}, or "
                "what it has signed was changed; get the file again, and propose new terms if that is no help"
            )


def check_dates(terms: Terms, path: Path, now: dt.datetime | None = None) -> None:
    """Raises TermsError where the terms are not valid now."""
    now = dt.datetime.now(dt.UTC) if now is None else now
    if now < moment(terms.not_before):
        raise TermsError(f"terms {path} begin on {terms.not_before}, and now is {written(now)}; wait, or see the clock")
    if now > moment(terms.not_after):
        raise TermsError(f"terms {path} ended on {terms.not_after}, and now is {written(now)}; propose new ones")


def check_side(terms: Terms, side: Side, path: Path) -> None:
    """Raises TermsError where this side's public configuration or limits are not those of the terms."""
    limits = getattr(terms.limits, side.party)
    there = {"protocol": terms.protocol.model_dump(mode="json")}
    here = {"protocol": side.protocol.model_dump(mode="json")}
    there["limits"] = {side.party: limits.model_dump(mode="json")}
    here["limits"] = {side.party: side.limits.model_dump(mode="json")}
    _refuse(there, here, path)


def _refuse(there: Mapping[str, Any], here: Mapping[str, Any], path: Path) -> None:
    """Name the keys that differ, with both values.

    What decides is the whole as it is written: true is not 1, and a key that is not there is not the text of one.
    """
    if _written(there) == _written(here):
        return
    agreed, own = dict(flattened(there)), dict(flattened(here))
    keys = [
        key
        for key in dict.fromkeys((*agreed, *own))
        if [key in agreed, _written(agreed.get(key))] != [key in own, _written(own.get(key))]
    ]
    texts = [
        f"{printable(key[:_LONGEST_SHOWN])}: {_shown(agreed, key)} in the terms, {_shown(own, key)} at this side"
        for key in keys[:_NAMED]
    ]
    more = [f"{len(keys) - _NAMED} more"] if len(keys) > _NAMED else []
    differ = ", ".join(texts + more) or "a key with a dot stands for a section in one of both"
    raise TermsError(f"terms {path} are not those of this side: {differ}; set it as agreed, or propose new terms")


def _written(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _shown(settings: Mapping[str, Any], key: str) -> str:
    if key not in settings:
        return _UNSET
    text = printable(json.dumps(settings[key], ensure_ascii=False))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _message(terms: Terms, party: str, signed_at: str) -> bytes:
    """What a party signs: who it is, when, and the terms in canonical form."""
    return f"party {party} at {signed_at}\n".encode() + canonical(terms)
