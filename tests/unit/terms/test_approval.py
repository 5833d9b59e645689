"""Signed terms: what both have signed is accepted, and whatever was changed, by whomever, is refused with one line."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from terms_files import FILE, make_keys, protocol_of, side_config, sign_as, terms_of, write_approved

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.party import DisclosureConfig, DisclosureLimits
from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import CredentialError, SmuleError, TermsError
from smule_crypten.report.formatting import flattened
from smule_crypten.terms.approval import _DOMAIN, Approval, _message, _refuse, approval_of, check_dates
from smule_crypten.terms.document import Signature, SignedTerms, canonical, read_terms, write_terms
from smule_crypten.transport.credentials import Identity, create_identity, load_certificate, load_identity
from smule_crypten.transport.signatures import sign


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


def looked_at(folder: Path, role: str = "a", **settings: object) -> Approval | None:
    config = side_config(folder, role, **settings)
    return approval_of(config, protocol_of(config))


def refusal(folder: Path, role: str = "a", **settings: object) -> str:
    with pytest.raises(TermsError) as refused:
        looked_at(folder, role, **settings)
    assert refused.value.exit_code == 15
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def content(folder: Path) -> Any:
    return json.loads((folder / FILE).read_text())


def put(folder: Path, document: object) -> None:
    """As smule-terms would write these values, so that only what they say is wrong."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, indent=2)
    (folder / FILE).write_text(f"{text}\n")


def test_both_sides_accept_what_both_have_signed(keys: Path) -> None:
    document = write_approved(keys)
    for role in "ab":
        approval = looked_at(keys, role)
        assert approval is not None
        assert approval.terms == document.terms
        assert set(approval.signed_at) == {"a", "b"}


def test_a_signature_is_that_of_the_library(keys: Path) -> None:
    """Verified by cryptography alone, on bytes that are put together here: prefix, party, time, and the sorted JSON."""
    write_approved(keys)
    written = content(keys)
    terms = json.dumps(written["terms"], sort_keys=True, ensure_ascii=False, indent=2) + "\n"
    for signature in written["signatures"]:
        party, at = signature["party"], signature["signed_at"]
        message = f"smule-crypten signs terms of version 1\0party {party} at {at}\n{terms}".encode()
        pem = (keys / f"hospital-{party}.crt.pem").read_bytes()
        key = x509.load_pem_x509_certificate(pem).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(base64.b64decode(signature["signature"]), message, ec.ECDSA(hashes.SHA256()))
    approval = looked_at(keys)
    assert approval is not None
    assert approval.digest == hashlib.sha256(terms.encode()).hexdigest()


def test_no_field_can_be_changed(keys: Path) -> None:
    """Every value of the terms, and of the signatures, one after the other: each change is refused at both sides."""
    write_approved(keys)
    original = content(keys)
    changes: list[Callable[[Any], None]] = []
    for key, value in flattened(original["terms"]):
        changes.append(lambda document, key=key, value=value: _set(document["terms"], key.split("."), _other(value)))
    for number in range(2):
        for name in ("party", "signed_at", "signature"):
            changes.append(lambda document, number=number, name=name: _change_signature(document, number, name))
    assert len(changes) > 40
    for change in changes:
        document = json.loads(json.dumps(original))
        change(document)
        assert document != original
        put(keys, document)
        for role in "ab":
            with pytest.raises(SmuleError):
                looked_at(keys, role)
    put(keys, original)
    assert looked_at(keys) is not None


def _set(document: Any, keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        document = document[key]
    document[keys[-1]] = value


def _other(value: object) -> object:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str() if re.fullmatch(r"\d{4}-.*Z", value):
            return f"{int(value[:4]) + 1}{value[4:]}"
        case str():
            return f"{value[:-1]}{'0' if value[-1:] != '0' else '1'}"
        case list():
            return [*value, *value[:1]] if value else [0.5]
        case dict():
            return {"more": 1}
        case _:
            return 3


def _change_signature(document: Any, number: int, name: str) -> None:
    signature = document["signatures"][number]
    if name == "party":
        signature["party"] = "a" if signature["party"] == "b" else "b"
        document["signatures"].sort(key=lambda one: one["party"])
    elif name == "signed_at":
        signature["signed_at"] = f"2001{signature['signed_at'][4:]}"
    else:
        raw = bytearray(base64.b64decode(signature["signature"]))
        raw[-1] ^= 1
        signature["signature"] = base64.b64encode(bytes(raw)).decode()


def test_the_signature_of_another_key(keys: Path, tmp_path: Path) -> None:
    """Somebody else's signature, also one whose certificate has the same name."""
    document = write_approved(keys)
    create_identity("hospital-b", tmp_path)
    forged = sign_as_other(keys, tmp_path, document)
    write_terms(keys / FILE, forged)
    assert "the signature of party b is not by the key of hospital-b" in refusal(keys)


def sign_as_other(keys: Path, folder: Path, document: SignedTerms) -> SignedTerms:
    identity = load_identity(folder / "hospital-b.crt.pem", folder / "hospital-b.key.pem")
    own, theirs = document.signatures
    raw = sign(identity, _DOMAIN, _message(document.terms, "b", theirs.signed_at))
    text = base64.b64encode(raw).decode()
    return SignedTerms(terms=document.terms, signatures=(own, theirs.model_copy(update={"signature": text})))


def test_two_signatures_of_one_party(keys: Path) -> None:
    """They do not stand for two, whether they say so or the second one calls itself party b."""
    write_approved(keys)
    document = content(keys)
    document["signatures"] = [document["signatures"][0]] * 2
    put(keys, document)
    assert "two are of party a; each party signs once" in refusal(keys)
    document["signatures"] = [document["signatures"][0], document["signatures"][0] | {"party": "b"}]
    put(keys, document)
    assert "the signature of party b is not by the key of hospital-b" in refusal(keys)


@pytest.mark.parametrize(("role", "missing"), [("a", "b"), ("b", "a")])
def test_one_signature_is_not_enough(keys: Path, role: str, missing: str) -> None:
    write_terms(keys / FILE, sign_as(keys, role, SignedTerms(terms=terms_of(keys))))
    assert f"are not signed by party {missing} (hospital-{missing}), who does so with smule-terms sign" in refusal(keys)


def test_dates(keys: Path) -> None:
    """Before the first moment and after the last one; nobody signs what has ended."""
    now = dt.datetime.now(dt.UTC)
    tomorrow, yesterday = (f"{now + dt.timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (1, -1))
    write_approved(keys, not_before=tomorrow)
    assert f"begin on {tomorrow}" in refusal(keys)
    with pytest.raises(TermsError, match=f"ended on {yesterday}; propose new ones"):
        write_approved(keys, not_after=yesterday)


def test_ended_terms(keys: Path) -> None:
    """What both had signed in time is refused when the time is over."""
    terms = terms_of(keys, not_before="2026-01-01T00:00:00Z", not_after="2026-02-01T00:00:00Z")
    check_dates(terms, Path("t"), dt.datetime(2026, 2, 1, tzinfo=dt.UTC))
    for moment, text in (((2026, 2, 1, 0, 0, 1), "ended on 2026-02-01"), ((2025, 12, 31), "begin on 2026-01-01")):
        with pytest.raises(TermsError, match=text):
            check_dates(terms, Path("t"), dt.datetime(*moment, tzinfo=dt.UTC))  # type: ignore[arg-type]


def test_files_that_are_not_whole_or_otherwise_written(keys: Path) -> None:
    """Every truncation; a key twice; other spaces, order, escapes or numbers; more behind the end."""
    write_approved(keys)
    path = keys / FILE
    whole = path.read_bytes()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        refusal(keys)
    path.write_bytes(whole[:-1])
    assert "not in the one form that terms have" in refusal(keys)
    twice = whole.replace(b'    "purpose":', b'    "purpose": "anything else",\n    "purpose":', 1)
    assert json.loads(twice) == json.loads(whole)
    others = [
        twice,
        json.dumps(json.loads(whole)).encode(),
        whole.replace(b"radiographs", b"radiograph\\u0073", 1),
        whole.replace(b'"num_queries": 50', b'"num_queries": 50.0', 1),
        whole + b"\n",
        b"\xef\xbb\xbf" + whole,
        whole.replace(b"\n", b"\r\n"),
        whole.replace(b'"purpose"', b'"purpose" ', 1),
    ]
    for content in others:
        assert content != whole
        path.write_bytes(content)
        refusal(keys)
    path.write_bytes(whole)
    assert looked_at(keys) is not None


def test_a_missing_file(keys: Path, tmp_path: Path) -> None:
    text = refusal(keys, terms=str(tmp_path / "none.json"))
    assert "cannot read terms" in text
    assert "smule-terms propose writes such a file" in text


@pytest.mark.parametrize(
    ("role", "settings", "texts"),
    [
        ("a", {"exchange": ExchangeConfig(num_queries=60)}, ["protocol.exchange.num_queries: 50 in the terms, 60 at"]),
        ("b", {"exchange": ExchangeConfig(num_queries=60)}, ["protocol.exchange.num_queries: 50 in the terms, 60 at"]),
        (
            "b",
            {"disclosure": DisclosureConfig(max_answers_total=2001)},
            ["limits.b.max_answers_total: 2000 in the terms, 2001 at this side"],
        ),
        (
            "a",
            {"disclosure": DisclosureConfig(max_answers_per_exchange=9)},
            ["limits.a.max_answers_total: 1000 in the terms, null at", "limits.a.max_answers_per_exchange: null in"],
        ),
    ],
)
def test_a_side_that_is_not_as_agreed(keys: Path, role: str, settings: dict[str, object], texts: list[str]) -> None:
    """The key is named, with both values; at the side that differs, whichever it is."""
    write_approved(keys)
    text = refusal(keys, role, **settings)
    assert all(part in text for part in texts), text


def test_another_certificate_than_the_pinned_one(tmp_path: Path) -> None:
    """Whoever makes a new key needs new terms; both fingerprints are named."""
    make_keys(tmp_path)
    document = write_approved(tmp_path)
    for path in tmp_path.glob("hospital-b.*"):
        path.unlink()
    create_identity("hospital-b", tmp_path)
    text = refusal(tmp_path)
    assert "certificates.b.fingerprint: " in text
    assert document.terms.certificates.b.fingerprint in text


def test_nobody_signs_what_is_not_its_own(keys: Path) -> None:
    """smule-terms sign: other limits, twice, or beside a signature that is none."""
    document = SignedTerms(terms=terms_of(keys, purpose="another purpose"))
    once = sign_as(keys, "a", document)
    with pytest.raises(TermsError, match="bear the signature of party a already"):
        sign_as(keys, "a", once)
    broken = once.signatures[0].model_copy(update={"signature": "AAAA"})
    with pytest.raises(TermsError, match="the signature of party a is not by the key"):
        sign_as(keys, "b", SignedTerms(terms=document.terms, signatures=(broken,)))
    limits = document.terms.limits.model_copy(update={"b": DisclosureLimits(max_answers_total=5)})
    terms = document.terms.model_copy(update={"limits": limits})
    with pytest.raises(TermsError, match=r"limits\.b\.max_answers_total: 5 in the terms, 2000 at this side"):
        sign_as(keys, "b", SignedTerms(terms=terms))


def test_no_terms_and_simulations(keys: Path) -> None:
    """`terms: none` is a decision; a simulation has nobody who would approve anything."""
    assert looked_at(keys, terms="none") is None
    values = side_config(keys, "a").model_dump() | {"connection": None}
    config = PartyConfig.model_validate(values)
    assert approval_of(config, protocol_of(config)) is None


def test_canonical_form_is_read_back(keys: Path) -> None:
    document = write_approved(keys)
    assert read_terms(keys / FILE) == document
    assert (keys / FILE).read_bytes() == canonical(document)


def test_text_that_is_no_base64_verifies_nothing() -> None:
    signature = Signature(party="a", signed_at="2026-01-01T00:00:00Z", signature="not base64!")
    assert signature.raw() == b""


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ({"x": True}, {"x": 1}),
        ({"x": 1}, {"x": 1.0}),
        ({"x": 0.0}, {"x": -0.0}),
        ({"x": "not set"}, {}),
        ({"a.b": 1}, {"a": {"b": 1}}),
    ],
)
def test_values_that_only_look_alike(there: dict[str, Any], here: dict[str, Any]) -> None:
    """What was signed is compared as it is written, not as Python or a message would see it."""
    for agreed, own in ((there, here), (here, there)):
        with pytest.raises(TermsError, match="terms t are not those of this side: "):
            _refuse(agreed, own, Path("t"))
        _refuse(agreed, agreed, Path("t"))


def test_a_signature_has_one_form(keys: Path) -> None:
    """The last letter of base64 holds bits that stand for nothing: nobody changes them unnoticed."""
    write_approved(keys)
    document = content(keys)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for _ in range(20):
        text = document["signatures"][0]["signature"]
        if text.endswith("="):
            break
        write_approved(keys)
        document = content(keys)
    bare = text.rstrip("=")
    changed = bare[:-1] + letters[letters.index(bare[-1]) ^ 1] + text[len(bare) :]
    assert base64.b64decode(changed) == base64.b64decode(text)
    document["signatures"][0]["signature"] = changed
    put(keys, document)
    assert "the signature of party a is not by the key" in refusal(keys)


def _certificate_of(key: Any, path: Path) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hospital-b")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=9))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    path.write_bytes(builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize(
    "make",
    [
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP384R1()),
    ],
)
def test_a_certificate_that_cannot_sign(make: Callable[[], Any], tmp_path: Path) -> None:
    """TLS would take it. It is named as what it is, not as a wrong signature of the other side."""
    document = write_approved(tmp_path)
    _certificate_of(make(), tmp_path / "hospital-b.crt.pem")
    write_terms(tmp_path / FILE, document)
    with pytest.raises(CredentialError, match="of party b is of a kind that signs no terms; exchange one that"):
        looked_at(tmp_path)


def test_a_key_of_another_kind(keys: Path) -> None:
    """Only keys as smule-keys makes them sign."""
    path = keys / "other.pem"
    form = serialization.PrivateFormat.PKCS8
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    )
    path.write_bytes(pem)
    with pytest.raises(CredentialError, match="signs no documents"):
        sign(Identity(load_certificate(keys / "hospital-a.crt.pem"), path), "terms", b"")
