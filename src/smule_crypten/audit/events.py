"""What an audit log holds: the events, and the line around each. docs/operations.md explains them to an auditor.

No line holds samples, labels, logits, evidence of an alarm, names of files, or messages of errors, which may hold such.
Texts are words without spaces: who prints a log of somebody else, or opens it in a spreadsheet, runs no command of it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from smule_crypten.config.party import DisclosureLimits
from smule_crypten.config.sections import Section
from smule_crypten.mutual_learning.disclosures import EntryKind

Word = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_.:+-]{0,199}$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$")]
Command = Literal["training", "questions"]
"""A run of smule-party; or smule-predict and smule-estimate, which a trained party asks and answers by."""
Keeper = Literal["a", "b", "dealer"]
Outcome = Literal["completed", "refused", "stopped", "failed"]


class Started(Section):
    """A process has opened the log.

    peer, dealer: fingerprints of the certificates that it accepts. ledger: digest of the last line of the ledger, zeros
    of a new one; answered: so many answers to this peer it counts.
    """

    event: Literal["started"] = "started"
    command: Command
    version: Word
    certificate: Word
    peer: Word
    dealer: Word | None
    limits: DisclosureLimits
    ledger: Word
    answered: int


class TermsApproved(Section):
    """The run is what both parties have signed.

    digest: of the terms. signed_by_a, signed_by_b: when, by the clocks of the signers.
    """

    event: Literal["terms"] = "terms"
    digest: Word
    not_before: Word
    not_after: Word
    signed_by_a: Word
    signed_by_b: Word


class Override(Section):
    """The operator of this side set aside what holds otherwise.

    key: as in its file. before, now: of a looser limit, what it was when the last process with this peer started; of
    another ledger, digests of the line that it lacks and of its last one.
    """

    event: Literal["override"] = "override"
    key: Word
    before: int | float | Word | None = None
    now: int | float | Word | None = None


class SessionOpened(Section):
    """The others have proved who they are, and both parties mean the same.

    agreement: digest of the public configuration. peer, dealer: fingerprints.
    """

    event: Literal["session"] = "session"
    agreement: Word
    peer: Word
    dealer: Word | None


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
    kind: EntryKind
    answers: int
    ledger: Word


class Exchanged(Section):
    """An exchange is through: samples asked about and answered, public ones beside them, and answers dropped here."""

    event: Literal["exchange"] = "exchange"
    exchange: int
    asked: int
    answered: int
    public_asked: int
    public_answered: int
    dropped: int


class HeadAsked(Section):
    """The joint head is there: answers that this side has of it and those that it gave, or both know its weights.

    Of the run so far: an attempt that goes on says it again.
    """

    event: Literal["joint_head"] = "joint_head"
    asked: int
    answered: int
    revealed: bool


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
    test: Word
    p_value: float
    suspects: Annotated[tuple[int, ...], Field(strict=False)]


class Refused(Section):
    """This side or the other one refuses to go on. error: the kind, as in docs/exit-codes.md."""

    event: Literal["refused"] = "refused"
    error: Word
    exit_code: int


class Ended(Section):
    """The process closes the log. error: the kind, where it was one of ours; null where all went well."""

    event: Literal["ended"] = "ended"
    outcome: Outcome
    error: Word | None = None


class DealerStarted(Section):
    """A dealer has opened its log. party_a, party_b: fingerprints of the certificates that it accepts."""

    event: Literal["dealer_started"] = "dealer_started"
    version: Word
    certificate: Word
    party_a: Word
    party_b: Word


class Dealing(Section):
    """Both parties have proved to the dealer who they are. party_a, party_b: fingerprints."""

    event: Literal["dealing"] = "dealing"
    party_a: Word
    party_b: Word


class Stated(Section):
    """Both parties have stated the same to the dealer. agreement: its digest, which is not that of their handshake."""

    event: Literal["stated"] = "stated"
    scheme: Word
    agreement: Word


class Dealt(Section):
    """The dealer will now deal for so many samples that party a and party b ask about; an index is dealt once."""

    event: Literal["dealt"] = "dealt"
    index: int
    asked_by_a: int
    asked_by_b: int


class DealingEnded(Section):
    """A session of the dealer is over. error: the kind, where it was one of ours."""

    event: Literal["dealing_ended"] = "dealing_ended"
    outcome: Outcome
    exchanges: int
    error: Word | None = None


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
    | HeadAsked
    | Predicted
    | Alarmed
    | Refused
    | Ended
    | DealerStarted
    | Dealing
    | Stated
    | Dealt
    | DealingEnded
    | Recovered,
    Field(discriminator="event"),
]


class Line(Section):
    """One line of the log.

    number: from 1. time: UTC, of this machine's clock. party: who keeps the log. run: by which the ledger knows it,
    null where it has none yet; of a dealer, which has no ledger, another one for each session with both parties.
    previous: SHA-256, in hexadecimal, of the bytes of the line before, without its line end; zeros in the first one.
    """

    schema_version: Literal[1] = 1
    number: int = Field(ge=1)
    time: Time
    party: Keeper
    run: Word | None
    details: Event
    previous: Word
