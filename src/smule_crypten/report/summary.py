"""summary.json: the numbers of one run, in the form that docs/results.md describes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smule_crypten.files import write_atomic
from smule_crypten.report.jsontext import to_json
from smule_crypten.report.schema import PARTY
from smule_crypten.types import PARTY_NAMES, RunRecord

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
    return PARTY_NAMES if record.recorded_by is None else (record.recorded_by,)


def epoch_traffic(record: RunRecord) -> list[EpochTraffic]:
    """Traffic of every SMuLe epoch that all who are recorded have finished, in order.

    A party's own record knows both directions, and of the dealer what it got itself.
    """
    # In a simulation the other party counted what this one received.
    asked: tuple[str, ...] = ("queries_made",)
    sent: tuple[str, ...] = ("bytes_sent",)
    if record.recorded_by is not None:
        asked, sent = ("queries_made", "queries_answered"), ("bytes_sent", "bytes_received")
    events_by_epoch: dict[int, list[dict[str, Any]]] = {}
    for event in record.epochs:
        if event["phase"] == "smule":
            events_by_epoch.setdefault(event["epoch"], []).append(event)
    return [
        EpochTraffic(
            epoch=epoch,
            queries=sum(event[key] for event in events for key in asked),
            bytes_total=sum(event[key] for event in events for key in sent),
            rounds=max(event["rounds"] for event in events),
            dealer_bytes=sum(event["dealer_bytes"] for event in events),
        )
        for epoch, events in sorted(events_by_epoch.items())
        if len(events) == len(recorded_parties(record))
    ]


def build_summary(record: RunRecord) -> dict[str, Any]:
    """Condense a record, complete or partial; what was not measured is None."""
    config = record.config
    return {
        "schema_version": record.schema_version,
        "status": record.status,
        "run_id": record.run_id,
        "recorded_by": record.recorded_by,
        "scheme": config["scheme"]["name"],
        "provider": config["provider"]["name"],
        "randomness": config["randomness"],
        "insecure_choices": list(config["insecure_choices"]),
        "seed": record.seed,
        "epochs": config["training"]["epochs"],
        "parties": {name: _party(record, name) for name in PARTY_NAMES},
        "pooled_test_accuracy": None if record.pooled is None else record.pooled["test_accuracy"],
        "communication": _communication(record),
        "fidelity": _fidelity(record.fidelity),
        "attack": _attack(record),
        "seconds": {key: record.seconds.get(key) for key in ("training", "exchange", "total")},
        "versions": dict(record.versions),
        "hardware": dict(record.hardware),
        "error": record.error,
    }


def write_summary(run_dir: Path, record: RunRecord) -> Path:
    """Write summary.json and return its path; a party's own record is for its owner alone.

    Raises:
        OutputError: the folder cannot be written; an earlier summary stays as it was.
    """
    path = run_dir / SUMMARY_FILE
    text = to_json(build_summary(record), indent=2) + "\n"
    write_atomic(path, lambda file: file.write(text.encode()), public=record.recorded_by is None)
    return path


def _party(record: RunRecord, name: str) -> dict[str, Any]:
    party, controls = record.parties.get(name, {}), record.controls.get(name, {})
    best = _best_local_control(record.config, controls, party.get("standalone_test_accuracy"))
    return {**{key: party.get(key) for key in PARTY}, "controls": dict(controls), "best_local_control": best}


def _best_local_control(
    config: dict[str, Any], controls: dict[str, float], alone: float | None
) -> dict[str, Any] | None:
    """The best that the party reaches without the other; None before all are known, since the best may be missing."""
    if any(name not in controls for name in config.get("simulation", {}).get("controls", [])):
        return None
    known = dict(controls) if alone is None else {"standalone": alone, **controls}
    if not known:
        return None
    best = max(known, key=lambda name: known[name])
    return {"name": best, "test_accuracy": known[best]}


def _communication(record: RunRecord) -> dict[str, Any]:
    traffic = epoch_traffic(record)
    queries = sum(epoch.queries for epoch in traffic)
    exchanged_bytes = sum(epoch.bytes_total for epoch in traffic)
    rounds = _of_all(record, "rounds")
    bytes_sent = _of_all(record, "bytes_sent")
    if record.recorded_by is not None and bytes_sent is not None:
        bytes_sent += _of_all(record, "bytes_received") or []
    dealer_bytes = None if record.recorded_by else _of_all(record, "dealer_bytes")
    return {
        "bytes_per_epoch": [epoch.bytes_total for epoch in traffic],
        "bytes_total": None if bytes_sent is None else sum(bytes_sent),
        "dealer_bytes_total": None if dealer_bytes is None else sum(dealer_bytes),
        "rounds_total": None if rounds is None else max(rounds),
        "queries_per_epoch": [epoch.queries for epoch in traffic],
        "bytes_per_query": exchanged_bytes / queries if queries else None,
        "bytes_by_phase": _of_the_link(record, "bytes_by_phase"),
        "bytes_by_layer": _of_the_link(record, "bytes_by_layer"),
    }


def _of_all(record: RunRecord, key: str) -> list[int] | None:
    """The counter of each party that is recorded, or None where one is not known."""
    values = [record.parties.get(name, {}).get(key) for name in recorded_parties(record)]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _of_the_link(record: RunRecord, key: str) -> dict[str, int]:
    """Bytes in both directions: the two parties count the same traffic, so theirs is united and not added."""
    merged: dict[str, int] = {}
    for name in PARTY_NAMES:
        for label, num_bytes in record.parties.get(name, {}).get(key, {}).items():
            merged[label] = max(num_bytes, merged.get(label, 0))
    return merged


def _attack(record: RunRecord) -> dict[str, Any] | None:
    attack = record.config["attack"]
    if attack["name"] == "none":
        return None
    return {"name": attack["name"], "party": attack["party"], "success": dict(record.attack or {})}


def _fidelity(checks: list[dict[str, Any]]) -> dict[str, Any] | None:
    num_samples = sum(check["num_samples"] for check in checks)
    if num_samples == 0:
        return None
    errors = [check["max_abs_logit_error"] for check in checks]
    agreeing = sum(check["top1_agreement"] * check["num_samples"] for check in checks)
    return {
        "max_abs_logit_error": max(errors) if all(map(_is_finite, errors)) else None,
        "top1_agreement": agreeing / num_samples,
        "num_samples": num_samples,
    }


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
