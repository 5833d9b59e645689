"""What stands in an audit log: the events, and the line around each. docs/operations.md explains them to an auditor.

No line holds samples, labels, logits, evidence of an alarm, names of files, or messages of errors, which may hold such.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from smule_crypten.config.party import DisclosureLimits
from smule_crypten.config.sections import Section

Command = Literal["training", "questions"]
"""A run of smule-party; or smule-predict and smule-estimate, which a trained party asks and answers by."""
Outcome = Literal["completed", "refused", "stopped", "failed"]


class Started(Section):
    """A process has opened the log. peer, dealer: fingerprints of the certificates that it accepts."""

    event: Literal["started"] = "started"
    command: Command
    version: str
    certificate: str
    peer: str
    dealer: str | None
    limits: DisclosureLimits


class TermsApproved(Section):
    """The run is what both parties have signed.

    digest: of the terms. signed_by_a, signed_by_b: when, by the clocks of the signers.
    """

    event: Literal["terms"] = "terms"
    digest: str
    not_before: str
    not_after: str
    signed_by_a: str
    signed_by_b: str


class Override(Section):
    """The operator of this side set aside what holds otherwise.

    key: as in its file. before, now: of a raised limit, what it was when the last process with this peer started.
    """

    event: Literal["override"] = "override"
    key: str
    before: int | float | str | None = None
    now: int | float | str | None = None


class SessionOpened(Section):
    """The others have proved who they are, and both parties mean the same.

    agreement: digest of the public configuration. peer, dealer: fingerprints.
    """

    event: Literal["session"] = "session"
    agreement: str
    peer: str
    dealer: str | None


class Resumed(Section):
    """An earlier attempt at this run goes on, after so many exchanges."""

    event: Literal["resumed"] = "resumed"
    exchange: int


class Answers(Section):
    """Answers are entered into the ledger, and will now be computed.

    kind, attempt: as in the ledger. ledger: digest of its line.
    """

    event: Literal["answers"] = "answers"
    exchange: int
    attempt: int
    kind: str
    answers: int
    ledger: str


class Exchanged(Section):
    """An exchange is through: samples asked about and answered, public ones beside them, and answers dropped here."""

    event: Literal["exchange"] = "exchange"
    exchange: int
    asked: int
    answered: int
    public_asked: int
    public_answered: int
    dropped: int


class Predicted(Section):
    """smule-predict or smule-estimate is through: as in Exchanged, of all its exchanges."""

    event: Literal["prediction"] = "prediction"
    asked: int
    answered: int
    dropped: int


class Alarmed(Section):
    """The answers of the peer look as no honest network's do. suspects: the exchanges that this speaks against."""

    event: Literal["alarm"] = "alarm"
    exchange: int
    test: str
    p_value: float
    suspects: Annotated[tuple[int, ...], Field(strict=False)]


class Refused(Section):
    """This side or the other one refuses to go on. error: the kind, as in docs/exit-codes.md."""

    event: Literal["refused"] = "refused"
    error: str
    exit_code: int


class Ended(Section):
    """The process closes the log. error: the kind, where it was one of ours; null where all went well."""

    event: Literal["ended"] = "ended"
    outcome: Outcome
    error: str | None = None


class Recovered(Section):
    """An earlier process was cut off while it wrote.

    from_line: the first of its lines that are not whole; size: bytes of them, which stay where they are.
    """

    event: Literal["recovered"] = "recovered"
    from_line: int
    size: int


Event = Annotated[
    Started
    | TermsApproved
    | Override
    | SessionOpened
    | Resumed
    | Answers
    | Exchanged
    | Predicted
    | Alarmed
    | Refused
    | Ended
    | Recovered,
    Field(discriminator="event"),
]


class Line(Section):
    """One line of the log.

    number: from 1. time: UTC, of this machine's clock. run: by which the ledger knows it, null where it has none yet.
    previous: SHA-256, in hexadecimal, of the bytes of the line before, without its line end; zeros in the first one.
    """

    schema_version: Literal[1] = 1
    number: int = Field(ge=1)
    time: str
    party: Literal["a", "b"]
    run: str | None
    details: Event
    previous: str
