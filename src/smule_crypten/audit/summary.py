"""An audit log as people and other programs read it: by run, by kind of event, and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from smule_crypten.audit.events import (
    Alarmed,
    Answers,
    DealerStarted,
    Dealing,
    DealingEnded,
    Dealt,
    Ended,
    Exchanged,
    HeadAsked,
    Line,
    Override,
    Predicted,
    Recovered,
    Refused,
    Resumed,
    SessionOpened,
    Started,
    TermsApproved,
)
from smule_crypten.mutual_learning.disclosures import ANSWERS
from smule_crypten.report.formatting import flattened

_COLUMNS = ("number", "time", "party", "run", "event")
_NO_RUN = ""


@dataclass(kw_only=True)
class RunSummary:
    """One run, all attempts at it together.

    charged: answers of the network in the ledger, which disclosure limits; head_charged: those of the joint head there.
    head_asked: answers that this side has of it.
    """

    run: str
    starts: int = 0
    exchanges: int = 0
    asked: int = 0
    answered: int = 0
    public_asked: int = 0
    public_answered: int = 0
    charged: int = 0
    head_asked: int = 0
    head_charged: int = 0
    alarms: int = 0
    refusals: int = 0
    outcomes: list[str] = field(default_factory=list)

    @property
    def cut_off(self) -> int:
        """Starts whose end no line tells of: a crash, a power cut, or a process that still runs."""
        return self.starts - len(self.outcomes)


def by_run(lines: Sequence[Line]) -> list[RunSummary]:
    """In the order in which the runs began."""
    runs: dict[str, RunSummary] = {}
    for line in lines:
        name = line.run or _NO_RUN
        summary = runs.setdefault(name, RunSummary(run=name))
        match line.details:
            case Started() | DealerStarted() | Dealing():
                summary.starts += 1
            case Dealt():
                summary.exchanges += 1
            case Exchanged() as one:
                summary.exchanges += 1
                summary.asked += one.asked
                summary.answered += one.answered
                summary.public_asked += one.public_asked
                summary.public_answered += one.public_answered
            case Predicted() as one:
                summary.asked += one.asked
                summary.answered += one.answered
            case HeadAsked() as one:
                summary.head_asked = one.asked
            case Answers(kind="joint_head") as one:
                summary.head_charged += one.answers
            case Answers() as one if one.kind in ANSWERS:
                summary.charged += one.answers
            case Alarmed():
                summary.alarms += 1
            case Refused():
                summary.refusals += 1
            case Ended() | DealingEnded() as one:
                summary.outcomes.append(one.outcome)
            case _:
                pass
    return [summary for summary in runs.values() if summary != RunSummary(run=summary.run)]


def kinds(lines: Sequence[Line]) -> dict[str, int]:
    """How many lines there are of each kind."""
    return dict(Counter(line.details.event for line in lines))


def notable(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """Time and words of what an auditor asks about.

    Approvals, overrides, alarms, refusals, restarts, revealed weights, torn lines, a clock that was set back.
    """
    found = []
    for before, line in zip((None, *lines), lines, strict=False):
        if before is not None and line.time < before.time:
            found.append((line.time, f"clock: line {line.number} bears an earlier time than the one before"))
        if (text := _in_words(line)) is not None:
            found.append((line.time, text))
    return found


def _in_words(line: Line) -> str | None:
    match line.details:
        case TermsApproved() as one:
            return f"terms {one.digest[:16]}, signed by a on {one.signed_by_a} and by b on {one.signed_by_b}"
        case SessionOpened() as one:
            return f"session with {one.peer}"
        case Override(key="terms"):
            return "override: no terms, nobody has approved this run"
        case Override(before=None, now=now, key=key):
            return f"override: {key}={now}"
        case Override(key="disclosure.ledger"):
            return "override: another ledger than before, which counts from zero (disclosure.ledger)"
        case Override() as one:
            return f"override: {one.key} loosened from {one.before} to {_or_null(one.now)}"
        case Answers(kind="joint_head_weights") as one:
            return f"weights of the joint head revealed: {one.answers}"
        case Resumed() as one:
            return f"restart after exchange {one.exchange}"
        case Alarmed() as one:
            return f"alarm in exchange {one.exchange}: {one.test}, p = {one.p_value:.1e}"
        case Refused() as one:
            return f"refused: {one.error}, exit code {one.exit_code}"
        case Ended() | DealingEnded() as one if one.outcome != "completed":
            return f"ended: {one.outcome}{f' ({one.error})' if one.error else ''}"
        case Dealing() as one:
            return f"session of party a, {one.party_a}, and party b, {one.party_b}"
        case Recovered() as one:
            return f"recovered: from line {one.from_line} on {one.size} bytes of an unfinished line"
        case _:
            return None


def _or_null(value: object) -> object:
    return "null" if value is None else value


def as_csv(lines: Sequence[Line]) -> str:
    """One row per line: what all have, then what is in any kind of event, and the digest of the line before."""
    flat = [dict(flattened(line.details.model_dump(mode="json"))) for line in lines]
    others = sorted({key for values in flat for key in values} - {"event"})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *others, "previous"])
    for line, values in zip(lines, flat, strict=True):
        common = [line.number, line.time, line.party, line.run or "", line.details.event]
        writer.writerow([*common, *(_cell(values.get(key)) for key in others), line.previous])
    return text.getvalue()


def _cell(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def as_json_lines(lines: Sequence[Line]) -> str:
    """The lines as they are in the log, without torn ones."""
    return "".join(f"{line.model_dump_json()}\n" for line in lines)
