from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smule_crypten.errors import CredentialError, OutputError
from smule_crypten.transport.credentials import MAX_DAYS, create_identity, load_certificate, load_identity


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_an_identity_can_be_made_and_read_back(tmp_path: Path) -> None:
    """What smule-keys makes is what a run accepts."""
    made = create_identity("hospital-a", tmp_path / "keys")
    read = load_identity(tmp_path / "keys" / "hospital-a.crt.pem", tmp_path / "keys" / "hospital-a.key.pem")
    assert read == made
    assert read.certificate.name == "hospital-a"
    read.certificate.check_dates()


def test_only_the_owner_can_read_the_key(tmp_path: Path) -> None:
    """The private key has mode 0600, and nothing else lies beside it and the certificate."""
    identity = create_identity("a", tmp_path)
    assert _mode(identity.key_path) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"a.key.pem", "a.crt.pem"}


def test_two_identities_of_one_name_are_different(tmp_path: Path) -> None:
    """A name proves nothing: keys, certificates and fingerprints never repeat."""
    first, second = (create_identity("a", tmp_path / folder) for folder in "xy")
    assert first.certificate.fingerprint != second.certificate.fingerprint
    assert first.key_path.read_bytes() != second.key_path.read_bytes()


def test_the_certificate_cannot_vouch_for_others(tmp_path: Path) -> None:
    """Pinning a certificate must not let its owner issue further ones that are accepted."""
    certificate = x509.load_der_x509_certificate(create_identity("a", tmp_path).certificate.der)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca


def test_the_fingerprint_is_that_of_other_tools(tmp_path: Path) -> None:
    """It can be compared with `openssl x509 -fingerprint -sha256`: SHA-256 of the binary form, in pairs."""
    certificate = create_identity("a", tmp_path).certificate
    der = ssl.PEM_cert_to_DER_cert(certificate.path.read_text())
    assert certificate.fingerprint.replace(":", "") == hashlib.sha256(der).hexdigest()
    assert len(certificate.fingerprint.split(":")) == 32


@pytest.mark.parametrize("name", ["", "Hospital", "a b", "../a", "-a", "a" * 64, "ä", "a\n"])
def test_unusable_names_are_refused(tmp_path: Path, name: str) -> None:
    """A name becomes a file name and stands in messages, so it stays simple."""
    with pytest.raises(CredentialError, match="is not usable; take lower-case letters"):
        create_identity(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("days", [0, -1, MAX_DAYS + 1, 10**9])
def test_unusable_lifetimes_are_refused(tmp_path: Path, days: int) -> None:
    """No certificate that is never valid, and none for ever."""
    with pytest.raises(CredentialError, match="cannot be valid for"):
        create_identity("a", tmp_path, days=days)


@pytest.mark.parametrize("existing", ["a.key.pem", "a.crt.pem"])
def test_existing_files_are_not_overwritten(tmp_path: Path, existing: str) -> None:
    """A lost key locks its owner out; nor is half a pair left behind."""
    (tmp_path / existing).write_text("precious")
    with pytest.raises(CredentialError, match=f"{existing} exists"):
        create_identity("a", tmp_path)
    assert (tmp_path / existing).read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [existing]


def test_an_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    """One line that names the file, no traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*a\.key\.pem: .*; choose another folder"):
        create_identity("a", tmp_path / "file")


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    """Mixed-up files are found before anybody is called."""
    first, second = create_identity("a", tmp_path), create_identity("b", tmp_path)
    with pytest.raises(CredentialError, match=r"b\.key\.pem does not belong to certificate .*a\.crt\.pem"):
        load_identity(first.certificate.path, second.key_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """As ssh does, with the command that mends it."""
    identity = create_identity("a", tmp_path)
    identity.key_path.chmod(mode)
    with pytest.raises(CredentialError, match="run chmod 600"):
        load_identity(identity.certificate.path, identity.key_path)


def _missing(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def _garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff garbage")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_missing, _folder, _garbage, _empty])
@pytest.mark.parametrize("damaged", ["a.key.pem", "a.crt.pem"])
def test_unreadable_files_are_one_clear_line(tmp_path: Path, damaged: str, damage: Callable[[Path], None]) -> None:
    """Whatever is wrong with a file, the message names it."""
    identity = create_identity("a", tmp_path)
    damage(tmp_path / damaged)
    with pytest.raises(CredentialError, match=damaged.replace(".", r"\.")) as caught:
        load_identity(identity.certificate.path, identity.key_path)
    assert "\n" not in str(caught.value)


def test_an_encrypted_key_is_refused_without_asking_for_a_password(tmp_path: Path) -> None:
    """A run that starts by itself must not wait for somebody to type."""
    identity = create_identity("a", tmp_path)
    key = serialization.load_pem_private_key(identity.key_path.read_bytes(), password=None)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    identity.key_path.write_bytes(
        key.private_bytes(encoding, form, serialization.BestAvailableEncryption(b"secret-password"))
    )
    with pytest.raises(CredentialError, match="holds no usable private key without password"):
        load_identity(identity.certificate.path, identity.key_path)


def test_a_private_key_is_no_certificate(tmp_path: Path) -> None:
    """Giving the wrong file of the pair says which one is meant."""
    identity = create_identity("a", tmp_path)
    with pytest.raises(CredentialError, match=r"ask for <name>\.crt\.pem"):
        load_certificate(identity.key_path)


def test_a_name_that_plays_with_the_terminal_is_refused(tmp_path: Path) -> None:
    """A certificate comes from others; its name is printed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\x1b[2J")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1, now, now + dt.timedelta(days=1))
    path = tmp_path / "a.crt.pem"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    with pytest.raises(CredentialError, match="cannot be printed"):
        load_certificate(path)


def test_dates_are_checked(tmp_path: Path) -> None:
    """Expired and not yet valid are told apart, each with what to do; the limits themselves are valid."""
    certificate = create_identity("a", tmp_path, days=10).certificate
    second = dt.timedelta(seconds=1)
    certificate.check_dates(certificate.not_before)
    certificate.check_dates(certificate.not_after)
    with pytest.raises(CredentialError, match=r"of a expired on .*; make a new one"):
        certificate.check_dates(certificate.not_after + second)
    with pytest.raises(CredentialError, match=r"of a is valid only from .*; check the clock"):
        certificate.check_dates(certificate.not_before - second)


def test_a_clock_that_is_a_little_late_does_no_harm(tmp_path: Path) -> None:
    """A new certificate is valid at once also for a peer whose clock is behind."""
    certificate = create_identity("a", tmp_path).certificate
    certificate.check_dates(dt.datetime.now(dt.UTC) - dt.timedelta(minutes=50))
