"""How smule-doctor examines a side: named checks in order, each ending as ok, FAILED or skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from torch import nn

from smule_crypten.config.connection import ConnectionConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import SmuleError
from smule_crypten.inference.answerer import Answerer
from smule_crypten.metric_names import TaskName
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.party.inputs import PartyInputs
from smule_crypten.transport.credentials import Certificate, Identity
from smule_crypten.transport.link import Link

OUTPUTS: dict[TaskName, str] = {"classification": "classes", "multilabel": "labels", "regression": "target(s)"}
"""What the outputs of a network stand for."""
Status = Literal["ok", "FAILED", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """How one check ended. text says what was found and, where the check failed, what to do."""

    check: str
    status: Status
    text: str
    exit_code: int = 0


class Skipped(Exception):
    """Raised by a check that has nothing to go on; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Of the link to the other party, as measured: about."""

    round_trip_seconds: float
    bytes_per_second: float


@dataclass(kw_only=True)
class Checkup:
    """One side, and what the checks have found out so far; None where they could not.

    config: once the data are loaded, with what follows from them. say hears for whom a check waits. terms: digest of
    the approved ones, "" where this side says that there are none, None where they are not approved.
    """

    config: PartyConfig
    connection: ConnectionConfig
    wait_seconds: float
    say: Callable[[str], None] = lambda text: None
    inputs: PartyInputs | None = None
    model: nn.Module | None = None
    translated: TranslatedNetwork | None = None
    answerer: Answerer | None = None
    identity: Identity | None = None
    certificates: dict[str, Certificate] = field(default_factory=dict)
    terms: str | None = None
    link: Link | None = None
    clock_differences_seconds: dict[str, float] = field(default_factory=dict)
    peer_is_ready: bool = False
    peer_architecture: Architecture | None = None
    speed: Speed | None = None
    seconds_a_query: float | None = None


Check = Callable[[Checkup], str]
"""Returns what it found. Raises SmuleError where something must be fixed, Skipped where it cannot tell."""

T = TypeVar("T")


def needed(value: T | None, what: str) -> T:
    """value, or Skipped: needs `what`."""
    if value is None:
        raise Skipped(f"needs {what}")
    return value


def run_checks(checkup: Checkup, checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Run all checks one after the other, whatever becomes of each."""
    for name, check in checks:
        try:
            yield Finding(check=name, status="ok", text=check(checkup))
        except Skipped as reason:
            yield Finding(check=name, status="skipped", text=str(reason))
        except SmuleError as error:
            yield Finding(check=name, status="FAILED", text=str(error), exit_code=error.exit_code)
