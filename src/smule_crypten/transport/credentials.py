"""Keys and certificates by which processes know each other.

Each organisation makes one key pair and one self-signed certificate. Certificates are exchanged once, as with SSH,
and pinned: a process accepts exactly the certificates it was given, whoever else may have signed what.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smule_crypten.errors import ConfigError, CredentialError, OutputError

CERTIFICATE_SUFFIX = ".crt.pem"
KEY_SUFFIX = ".key.pem"
DEFAULT_DAYS = 825
MAX_DAYS = 3650
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_CLOCK_SKEW = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate file that was read and understood. der is its binary form, which is what gets pinned."""

    path: Path
    name: str
    der: bytes
    not_before: dt.datetime
    not_after: dt.datetime

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in pairs of hexadecimal digits, for comparison over the telephone."""
        return fingerprint_of(self.der)

    def check_dates(self, now: dt.datetime | None = None) -> None:
        """Raises CredentialError where the certificate is not valid now."""
        now = dt.datetime.now(dt.UTC) if now is None else now
        if now > self.not_after:
            raise CredentialError(
                f"certificate {self.path} of {self.name} expired on {self.not_after:%Y-%m-%d}; "
                "make a new one with smule-keys init and exchange it again"
            )
        if now < self.not_before:
            raise CredentialError(
                f"certificate {self.path} of {self.name} is valid only from {self.not_before:%Y-%m-%d}; check the clock"
            )


def fingerprint_of(der: bytes) -> str:
    """Of a certificate in binary form, whether it can be understood or not."""
    digest = hashlib.sha256(der).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def issuer_of(der: bytes) -> str | None:
    """Who signed a certificate, None where it is signed by itself or cannot be understood."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        issuer = certificate.issuer.rfc4514_string()
    except (ValueError, x509.InvalidVersion):
        return None
    return None if certificate.issuer == certificate.subject else issuer


@dataclass(frozen=True)
class Identity:
    """This process's own certificate and the file of its private key."""

    certificate: Certificate
    key_path: Path


def create_identity(name: str, folder: Path, *, days: int = DEFAULT_DAYS) -> Identity:
    """Make a P-256 key pair and a self-signed certificate: <name>.key.pem (mode 0600) and <name>.crt.pem in folder.

    Raises:
        CredentialError: the name or the number of days is unusable, or a file of that name exists and would be lost.
        OutputError: the folder cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise CredentialError(f"name {name!r} is not usable; take lower-case letters, digits and dashes, at most 63")
    if not 1 <= days <= MAX_DAYS:
        raise CredentialError(f"a certificate cannot be valid for {days} days; take 1 to {MAX_DAYS}")
    key_path, certificate_path = folder / f"{name}{KEY_SUFFIX}", folder / f"{name}{CERTIFICATE_SUFFIX}"
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, name, days)
    form, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    _write_new(key_path, key.private_bytes(serialization.Encoding.PEM, form, no_password), mode=0o600)
    try:
        _write_new(certificate_path, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    except BaseException:
        key_path.unlink()  # a key without its certificate serves nobody
        raise
    return Identity(load_certificate(certificate_path), key_path)


def load_certificate(path: Path) -> Certificate:
    """Read one certificate in PEM form.

    Raises:
        CredentialError: the file cannot be read or holds no certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        name = str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    except OSError as error:
        raise CredentialError(f"cannot read certificate {path}: {error.strerror}") from None
    except (ValueError, IndexError, x509.InvalidVersion):
        raise CredentialError(f"{path} holds no usable certificate in PEM form; ask for <name>.crt.pem") from None
    if not name.isprintable():
        raise CredentialError(f"certificate {path} carries a name that cannot be printed; ask for another one")
    return Certificate(
        path=path,
        name=name,
        der=certificate.public_bytes(serialization.Encoding.DER),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def load_identity(certificate_path: Path, key_path: Path) -> Identity:
    """Read this party's certificate and check that the private key belongs to it.

    Raises:
        CredentialError: either file is missing or unusable, they do not fit, or others may read the key.
    """
    certificate = load_certificate(certificate_path)
    try:
        if key_path.stat().st_mode & 0o077:
            raise CredentialError(f"private key {key_path} can be read by other users; run chmod 600 {key_path}")
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except OSError as error:
        raise CredentialError(f"cannot read private key {key_path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CredentialError(f"{key_path} holds no usable private key without password in PEM form") from None
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    own = x509.load_der_x509_certificate(certificate.der).public_key().public_bytes(encoding, form)
    if key.public_key().public_bytes(encoding, form) != own:
        raise CredentialError(f"private key {key_path} does not belong to certificate {certificate_path}")
    return Identity(certificate, key_path)


def check_distinct(certificates: Mapping[str, Certificate]) -> None:
    """Raises ConfigError where two processes, named by their keys in the configuration, have the same certificate."""
    seen: dict[bytes, str] = {}
    for key, certificate in certificates.items():
        other = seen.setdefault(certificate.der, key)
        if other != key:
            raise ConfigError(
                f"{other} and {key} are the same certificate, that of {certificate.name}; each process needs its own, "
                "or one could pose as another"
            )


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str, days: int) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - _CLOCK_SKEW).not_valid_after(now + dt.timedelta(days=days))
    # A leaf that signs nothing: pinning it must not let its owner vouch for others.
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256())


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Create the file with its mode from the first byte on; never replaces one, so it does not go through files.py."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.parent.is_dir():
            raise CredentialError(f"{path} exists; choose another name or folder, or remove it yourself") from None
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another folder") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink()
        raise OutputError(f"cannot write {path}: {error.strerror}; free space") from None
