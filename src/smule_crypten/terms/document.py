"""The file of terms: what both organisations agree on, and their signatures.

There is one way to write it: JSON in UTF-8, keys sorted, indented by two, one line end at the end. A file with other
bytes is refused, so nothing can be in it that a signature does not cover or that two readers read otherwise.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from smule_crypten.config.config_reading import describe_validation
from smule_crypten.config.party import DisclosureLimits
from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.sections import Section
from smule_crypten.errors import TermsError
from smule_crypten.files import write_text

PartyName = Literal["a", "b"]
PARTIES: tuple[PartyName, ...] = ("a", "b")
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_LONGEST_PURPOSE = 4000
_LONGEST_NAME = 64
_LONGEST_FILE = 4 << 20


def moment(text: str) -> dt.datetime:
    """A time in UTC as it is in the file.

    Raises:
        ValueError: it is written in another way.
    """
    found = dt.datetime.strptime(text, _MOMENT).replace(tzinfo=dt.UTC)
    if written(found) != text:
        raise ValueError(f"{text!r} is no time as 2026-12-01T08:00:00Z")
    return found


def written(time: dt.datetime) -> str:
    """A time as it is in the file, in whole seconds."""
    return time.astimezone(dt.UTC).strftime(_MOMENT)


def _checked_moment(text: str) -> str:
    try:
        moment(text)
    except ValueError:
        raise ValueError("write a time in UTC as in 2026-12-01T08:00:00Z") from None
    return text


def _one_line(text: str) -> str:
    if not text.isprintable() or text.strip() != text:
        raise ValueError("must be one line of text, without spaces around it")
    return text


Moment = Annotated[str, AfterValidator(_checked_moment)]
Line = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]


class Signatory(Section):
    """Who takes part, as its certificate says: name, and SHA-256 fingerprint in pairs of hexadecimal digits."""

    name: Annotated[Line, Field(max_length=_LONGEST_NAME)]
    fingerprint: str = Field(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){31}$")


class Certificates(Section):
    """Of all processes of a run. dealer is null where the scheme has none."""

    a: Signatory
    b: Signatory
    dealer: Signatory | None


class Limits(Section):
    """How much the network of each party answers."""

    a: DisclosureLimits
    b: DisclosureLimits


class Terms(Section):
    """What both parties approve.

    purpose: what the runs are for, in words for people; no program reads it. not_before, not_after: runs begin between
    these two moments. protocol: all that the handshake of a run compares.
    """

    schema_version: Literal[1] = 1
    purpose: Annotated[Line, Field(max_length=_LONGEST_PURPOSE)]
    not_before: Moment
    not_after: Moment
    certificates: Certificates
    limits: Limits
    protocol: ProtocolConfig

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if moment(self.not_before) >= moment(self.not_after):
            raise ValueError("not_after: must be later than not_before")
        if self.protocol.terms is not None:
            raise ValueError("protocol.terms: terms name no other terms")
        present = [one for one in (self.certificates.a, self.certificates.b, self.certificates.dealer) if one]
        if len({one.fingerprint for one in present}) < len(present):
            raise ValueError("certificates: two are the same; each takes part with its own")
        return self

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal: by it terms are known, whoever has signed them."""
        return hashlib.sha256(canonical(self)).hexdigest()


class Signature(Section):
    """That of one party. signed_at is what its clock said, and is signed, too; signature is base64 of the DER form."""

    party: PartyName
    signed_at: Moment
    signature: str

    def raw(self) -> bytes:
        """The signature itself; empty, which verifies nothing, where the text is not the one base64 of it."""
        try:
            raw = base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError):
            return b""
        # The last letter may hold bits that stand for nothing.
        return raw if base64.b64encode(raw).decode("ascii") == self.signature else b""


class SignedTerms(Section):
    """The whole file. signatures: at most one of each party, that of party a first."""

    terms: Terms
    signatures: Annotated[tuple[Signature, ...], Field(max_length=len(PARTIES))] = ()

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        parties = [signature.party for signature in self.signatures]
        if len(set(parties)) < len(parties):
            raise ValueError(f"signatures: two are of party {parties[0]}; each party signs once")
        if parties != sorted(parties):
            raise ValueError("signatures: that of party a comes first")
        return self

    def of(self, party: PartyName) -> Signature | None:
        """The signature of a party; None where it has not signed."""
        return next((signature for signature in self.signatures if signature.party == party), None)


def canonical(document: Terms | SignedTerms) -> bytes:
    """The one way to write it."""
    text = json.dumps(document.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, indent=2)
    return f"{text}\n".encode()


def read_terms(path: Path) -> SignedTerms:
    """Read the file; signatures are not verified here.

    Raises:
        TermsError: it cannot be read, holds other things than terms, or is not in canonical form.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise TermsError(
            f"cannot read terms {path}: {error.strerror}; smule-terms propose writes such a file"
        ) from None
    if len(content) > _LONGEST_FILE:
        raise TermsError(f"{path} is too long to be terms; get the file again")
    try:
        document = SignedTerms.model_validate_json(content)
    except ValidationError as error:
        what = describe_validation(error, most=1)
        raise TermsError(f"{path} holds no terms that this version reads: {what}; get the file again") from None
    if canonical(document) != content:
        raise TermsError(
            f"{path} is not in the one form that terms have: a key is there twice, or keys, spaces or numbers are "
            "written otherwise; get the file again as smule-terms of this version wrote it"
        )
    return document


def write_terms(path: Path, document: SignedTerms) -> None:
    """Write the file; who signs and reads it is no secret.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_text(path, canonical(document).decode(), public=True)
