"""Signatures by the keys that prove who a process is, of documents that both organisations keep.

ECDSA on P-256 with SHA-256, as the keys of smule-keys are. What is signed begins with what it is, so that no signature
of a document can be taken for one of the TLS handshake, whose messages begin otherwise, or of another document.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from smule_crypten.errors import CredentialError
from smule_crypten.transport.credentials import Certificate, Identity

_PREFIX = b"smule-crypten signs "


def sign(identity: Identity, domain: str, message: bytes) -> bytes:
    """A signature by the private key of this process, in DER form.

    Args:
        domain: what the message is, in ASCII letters; the same when it is verified.

    Raises:
        CredentialError: the key cannot be read, or is of another kind.
    """
    path = identity.key_path
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise CredentialError(f"cannot read private key {path}: {error.strerror}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialError(f"private key {path} is of a kind that signs no documents; make one with smule-keys init")
    return key.sign(_signed(domain, message), ec.ECDSA(hashes.SHA256()))


def can_sign(certificate: Certificate) -> bool:
    """Whether its key is of the kind that signs documents. TLS takes others, too."""
    return _key_of(certificate) is not None


def is_signed(certificate: Certificate, domain: str, message: bytes, signature: bytes) -> bool:
    """Whether the private key that belongs to the certificate has signed this message in this domain."""
    key = _key_of(certificate)
    if key is None:
        return False
    try:
        key.verify(signature, _signed(domain, message), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _key_of(certificate: Certificate) -> ec.EllipticCurvePublicKey | None:
    try:
        key = x509.load_der_x509_certificate(certificate.der).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else None


def _signed(domain: str, message: bytes) -> bytes:
    return _PREFIX + domain.encode("ascii") + b"\0" + message
