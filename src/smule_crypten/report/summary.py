"""summary.json: the numbers of one run, in the form that docs/results.md describes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smule_crypten.files import write_text
from smule_crypten.report.record import read_record
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.run_records import (
    Communication,
    ControlRecord,
    Fidelity,
    PartySummary,
    RunRecord,
    RunSeconds,
    RunSummary,
    higher_is_better,
)
from smule_crypten.types import PARTY_NAMES

SUMMARY_FILE = "summary.json"


@dataclass(frozen=True, kw_only=True)
class EpochTraffic:
    """What one SMuLe epoch cost on the link between the parties. bytes_total counts both directions.

    rounds are the messages of one party, which are those of the other; dealer_bytes go to both parties together.
    """

    epoch: int
    queries: int
    bytes_total: int
    rounds: int
    dealer_bytes: int


def recorded_parties(record: RunRecord) -> tuple[str, ...]:
    """Whose own facts the record holds: of both parties in a simulation, of one elsewhere."""
    recorded_by = record.facts.recorded_by
    return PARTY_NAMES if recorded_by is None else (recorded_by,)


def epoch_traffic(record: RunRecord) -> list[EpochTraffic]:
    """Traffic of every SMuLe epoch that all who are recorded have finished, in order.

    A party's own record knows both directions, and of the dealer what it got itself.
    """
    by_epoch: dict[int, list[EpochRecord]] = {}
    for epoch in record.epochs:
        if epoch.phase == "smule":
            by_epoch.setdefault(epoch.epoch, []).append(epoch)
    # In a simulation the other party counted what this one received.
    alone = record.facts.recorded_by is not None
    return [
        EpochTraffic(
            epoch=number,
            queries=sum(epoch.queries_made + alone * epoch.queries_answered for epoch in epochs),
            bytes_total=sum(epoch.bytes_sent + alone * epoch.bytes_received for epoch in epochs),
            rounds=max(epoch.rounds for epoch in epochs),
            dealer_bytes=sum(epoch.dealer_bytes for epoch in epochs),
        )
        for number, epochs in sorted(by_epoch.items())
        if len(epochs) == len(recorded_parties(record))
    ]


def build_summary(record: RunRecord) -> RunSummary:
    """Condense a record, complete or partial; what was not measured is None."""
    return RunSummary(
        **vars(record.facts),
        status=record.status,
        error=record.error,
        parties={name: _party(record, name) for name in PARTY_NAMES},
        pooled_test_accuracy=record.pooled_test_accuracy,
        pooled_evaluation=record.pooled_evaluation,
        communication=_communication(record),
        fidelity=_fidelity(record.fidelity),
        attack=record.attack,
        seconds=_seconds(record),
    )


def write_summary(run_dir: Path, record: RunRecord) -> Path:
    """Write summary.json and return its path; a party's own record is for its owner alone.

    Raises:
        OutputError: the folder cannot be written; an earlier summary stays as it was.
    """
    path = run_dir / SUMMARY_FILE
    text = build_summary(record).model_dump_json(indent=2) + "\n"
    write_text(path, text, public=record.facts.recorded_by is None)
    return path


def read_summary(run_dir: Path) -> RunSummary:
    """The summary of a run's folder, of this version or an earlier one.

    Raises:
        DataError: there is none, or the file is something else.
    """
    return read_record(RunSummary, run_dir / SUMMARY_FILE)


def _party(record: RunRecord, name: str) -> PartySummary:
    party = record.parties.get(name)
    facts = (
        {} if party is None else {key: value for key, value in vars(party).items() if key in PartySummary.model_fields}
    )
    for key, of_controls in (("evaluations", record.evaluations), ("gains", record.gains)):
        if of_controls.get(name):
            facts[key] = {**(facts.get(key) or {}), **of_controls[name]}
    summary = PartySummary(**facts, controls=dict(record.controls.get(name, {})))
    best = _best_local_control(record.asked_controls, summary, record.facts.metric)
    return summary.model_copy(update={"best_local_control": best})


def _best_local_control(asked: Sequence[str], party: PartySummary, metric: str) -> ControlRecord | None:
    """The best that the party reaches without the other; None before all are known, since the best may be missing."""
    figures = {name: party.figure(name, metric) for name in ("standalone", *party.controls)}
    known = {name: figure.value for name, figure in figures.items() if figure is not None and figure.value is not None}
    if not known or any(name not in party.controls for name in asked):
        return None
    sign = 1 if higher_is_better(metric) else -1
    best = max(known, key=lambda name: sign * known[name])
    accuracy = party.figure(best, "accuracy")
    return ControlRecord(name=best, test_accuracy=None if accuracy is None else accuracy.value)


def _communication(record: RunRecord) -> Communication:
    traffic = epoch_traffic(record)
    queries = sum(epoch.queries for epoch in traffic)
    parties = [record.parties[name] for name in recorded_parties(record) if name in record.parties]
    is_known, alone = len(parties) == len(recorded_parties(record)), record.facts.recorded_by is not None
    sent = sum(party.bytes_sent + alone * party.bytes_received for party in parties)
    return Communication(
        bytes_per_epoch=[epoch.bytes_total for epoch in traffic],
        bytes_total=sent if is_known else None,
        dealer_bytes_total=sum(party.dealer_bytes for party in parties) if is_known and not alone else None,
        rounds_total=max(party.rounds for party in parties) if is_known else None,
        queries_per_epoch=[epoch.queries for epoch in traffic],
        bytes_per_query=sum(epoch.bytes_total for epoch in traffic) / queries if queries else None,
        bytes_by_phase=_of_the_link([party.bytes_by_phase for party in record.parties.values()]),
        bytes_by_layer=_of_the_link([party.bytes_by_layer for party in record.parties.values()]),
    )


def _of_the_link(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Bytes in both directions: the two parties count the same traffic, so theirs is united and not added."""
    merged: dict[str, int] = {}
    for of_party in counts:
        for label, num_bytes in of_party.items():
            merged[label] = max(num_bytes, merged.get(label, 0))
    return merged


def _fidelity(checks: Sequence[Fidelity]) -> Fidelity | None:
    num_samples = sum(check.num_samples for check in checks)
    if num_samples == 0:
        return None
    errors = [math.nan if check.max_abs_logit_error is None else check.max_abs_logit_error for check in checks]
    agreeing = [check.top1_agreement * check.num_samples for check in checks if check.top1_agreement is not None]
    return Fidelity(
        max_abs_logit_error=math.nan if any(map(math.isnan, errors)) else max(errors),
        top1_agreement=sum(agreeing) / num_samples if agreeing else None,
        num_samples=num_samples,
    )


def _seconds(record: RunRecord) -> RunSeconds:
    """Of one party, so that they add up: the maxima of both could exceed the time of the run."""
    seconds = [party.seconds for party in record.parties.values()]
    longest = max(seconds, key=lambda party: party.training + party.exchange, default=None)
    facts = {} if longest is None else vars(longest)
    return RunSeconds(**facts, total=record.total_seconds)
