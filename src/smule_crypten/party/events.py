"""What a process of a run tells its parent while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smule_crypten.report.evaluation_records import EvaluationRecord, MetricRecord
from smule_crypten.report.records import EpochRecord
from smule_crypten.status.record import Progress


@dataclass(frozen=True)
class Begun:
    """The party has agreed with the others on where to begin; what an earlier attempt left may be written over.

    data_notes: what the reader of the data counted, left out and changed.
    """

    data_notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """A line for whoever follows the run."""

    text: str


@dataclass(frozen=True)
class EpochEnded:
    """is_new: not an epoch of an earlier attempt, which is told again."""

    record: EpochRecord
    is_new: bool = True


@dataclass(frozen=True)
class ControlEnded:
    """A local control of a party is trained.

    score: the run's metric on the test samples. gains: of SMuLe over the control, by metric.
    """

    party: str
    name: str
    score: float | None
    evaluation: EvaluationRecord
    gains: dict[str, MetricRecord]


@dataclass(frozen=True)
class EvidenceLeft:
    """A party has left at path what the fidelity check needs of the exchange before an epoch."""

    party: str
    epoch: int
    path: Path


Event = Begun | Message | EpochEnded | ControlEnded | EvidenceLeft | Progress
Emit = Callable[[Event], None]
