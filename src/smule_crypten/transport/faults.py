"""What is wrong with a TLS handshake, in words that say what to fix: shown at both ends of it.

Certificates are pinned, so what a stranger shows proves nothing; it is looked at only to tell its owner what to fix.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from smule_crypten.errors import CredentialError, ProtocolError, SmuleError, quoted
from smule_crypten.transport.credentials import Certificate, Identity, fingerprint_of, issuer_of

Fault = Literal["their certificate", "our certificate", "no TLS", "other"]

NOT_PINNED = "a certificate that is not pinned"
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER", "PACKET")
_REFUSED = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED", "CERTIFICATE_REQUIRED")
_REFUSED_ALERTS = tuple(f"ALERT_{name}" for name in _REFUSED)


@dataclass(frozen=True)
class Visitor:
    """Who was turned away at a listening port, from which address and why."""

    host: str
    reason: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.host}: {self.reason}"


def visitor(host: str, error: Exception) -> Visitor:
    """What became of a handshake that failed at the listening side."""
    reason = str(getattr(error, "verify_message", None) or getattr(error, "reason", None) or error)
    if isinstance(error, TimeoutError):
        return Visitor(host, "it did not complete the TLS handshake", "other")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Visitor(host, f"{NOT_PINNED} ({reason})", "their certificate")
    if reason == NOT_PINNED:
        return Visitor(host, reason, "their certificate")
    if any(alert in reason for alert in _REFUSED_ALERTS):
        return Visitor(host, f"it does not accept our certificate ({reason})", "our certificate")
    if isinstance(error, ssl.SSLError) and any(name in reason for name in _NO_TLS):
        return Visitor(host, f"it does not speak TLS ({reason})", "no TLS")
    return Visitor(host, reason, "other")


def handshake_error(error: ssl.SSLError, who: str, identity: Identity) -> SmuleError:
    """Why the listening side, who, did not complete the handshake with us; not for certificates that we refuse."""
    reason = str(error.reason)
    if any(name in reason for name in _NO_TLS) and "ALERT" not in reason:
        return ProtocolError(
            f"{who} answers without TLS ({reason}), as a web server, an HTTP proxy or another program does; "
            "see that address and port are those of this program, with no proxy in between"
        )
    if any(alert in reason for alert in _REFUSED_ALERTS):
        return CredentialError(
            f"{who} does not accept our certificate ({reason}); it must have {identity.certificate.path} pinned, "
            f"whose SHA-256 fingerprint is {identity.certificate.fingerprint}"
        )
    return CredentialError(
        f"{who} did not complete the TLS handshake ({reason}); see that nothing opens TLS in between"
    )


def not_pinned(
    who: str, pinned: Certificate, shown: bytes | None, known: Mapping[str, Certificate], reason: str = ""
) -> CredentialError:
    """Who is there shows another certificate than the pinned one.

    Args:
        shown: in binary form; None where it could not be learned.
        known: certificates of other processes, and our own, by what to call their owners.
    """
    text = f"{who} shows a certificate that is not {pinned.path}{f' ({reason})' if reason else ''}"
    if shown is None:
        return CredentialError(f"{text}; pinned is SHA-256 {pinned.fingerprint}; compare fingerprints with its owner")
    text += f": it shows SHA-256 {fingerprint_of(shown)}, pinned is {pinned.fingerprint}"
    for name, certificate in known.items():
        if certificate.der == shown:
            return CredentialError(
                f"{text}. It is that of {name}: the address leads there; see whether two are swapped"
            )
    if (issuer := issuer_of(shown)) is not None:
        return CredentialError(
            f"{text}. It is signed by {quoted(issuer)}: a proxy or firewall opens TLS on the way; let these "
            "connections pass untouched"
        )
    return CredentialError(f"{text}; compare fingerprints with its owner")


def shown_at(host: str, port: int, seconds: float) -> bytes | None:
    """The certificate that somebody shows there, in binary form; None where nobody does. Proves nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        suppress(OSError, ValueError),
        socket.create_connection((host, port), timeout=seconds) as raw,
        context.wrap_socket(raw) as connection,
    ):
        return connection.getpeercert(binary_form=True)
    return None
