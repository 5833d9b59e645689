"""Two sides with keys of their own, and terms of both, without any data."""

from __future__ import annotations

from pathlib import Path

from smule_crypten.config.connection import ConnectionConfig, PeerConfig
from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.party import DisclosureConfig, DisclosureLimits
from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import DataConfig, ModelConfig
from smule_crypten.terms.approval import Side, signed
from smule_crypten.terms.document import Limits, SignedTerms, Terms, write_terms
from smule_crypten.transport.credentials import create_identity

NAMES = {"a": "hospital-a", "b": "hospital-b"}
LIMITS = {"a": 1000, "b": 2000}
FILE = "terms.json"


def make_keys(folder: Path) -> None:
    """Those that are not there yet."""
    for name in NAMES.values():
        if not (folder / f"{name}.crt.pem").exists():
            create_identity(name, folder)


def side_config(folder: Path, role: str, **settings: object) -> PartyConfig:
    """One side between hosts, with its keys in folder; settings take the place of keys."""
    other = "b" if role == "a" else "a"
    connection = ConnectionConfig(
        certificate=str(folder / f"{NAMES[role]}.crt.pem"),
        key=str(folder / f"{NAMES[role]}.key.pem"),
        listen="127.0.0.1:7701" if role == "a" else None,
        peer=PeerConfig(
            certificate=str(folder / f"{NAMES[other]}.crt.pem"), address=None if role == "a" else "127.0.0.1:7701"
        ),
    )
    values: dict[str, object] = {
        "role": role,
        "data": DataConfig(name="npz", mean=(0.5,)),
        "exchange": ExchangeConfig(num_queries=50),
        "model": ModelConfig(name="mlp"),
        "disclosure": DisclosureConfig(max_answers_total=LIMITS[role]),
        "connection": connection,
        "terms": str(folder / FILE),
        "output_dir": str(folder / "out"),
    }
    return PartyConfig.model_validate(values | settings)


def protocol_of(config: PartyConfig) -> ProtocolConfig:
    """What a side says in the handshake, if it has images of 1x8x8 in two classes."""
    return ProtocolConfig.from_party(config, (1, 8, 8), 2, ("no", "yes"), {})


def terms_of(folder: Path, **values: object) -> Terms:
    """Those of both sides as they are; values take the place of keys."""
    make_keys(folder)
    config = side_config(folder, "a")
    side = Side.of(config, protocol_of(config))
    of_both = Limits(**{role: DisclosureLimits(max_answers_total=most) for role, most in LIMITS.items()})
    terms: dict[str, object] = {
        "purpose": "triage of chest radiographs",
        "not_before": "2020-01-01T00:00:00Z",
        "not_after": "2100-01-01T00:00:00Z",
        "certificates": side.signatories(),
        "limits": of_both,
        "protocol": side.protocol,
    }
    return Terms.model_validate(terms | values)


def sign_as(folder: Path, role: str, document: SignedTerms) -> SignedTerms:
    config = side_config(folder, role)
    return signed(document, config, protocol_of(config), folder / FILE)


def write_approved(folder: Path, **values: object) -> SignedTerms:
    """Terms that both have signed, as the file of both sides."""
    document = SignedTerms(terms=terms_of(folder, **values))
    for role in ("b", "a"):
        document = sign_as(folder, role, document)
    write_terms(folder / FILE, document)
    return document
