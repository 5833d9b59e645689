"""The record of a party that did nothing, for tests that look at little of it."""

from __future__ import annotations

from typing import Any

from smule_crypten.report.records import PartyRecord, PartySeconds

_COUNTS = ("queries_made", "queries_answered", "answers_dropped", "bytes_sent", "bytes_received", "dealer_bytes")
_NOTHING: dict[str, Any] = {
    **dict.fromkeys((*_COUNTS, "rounds"), 0),
    "status": "completed",
    "class_counts": [],
    "checkpoint": "party_a/model.pt",
    "bytes_by_layer": {},
    "bytes_by_phase": {},
    "disclosures": [],
    "trust": [],
    "seconds": PartySeconds(training=1.0, exchange=1.0),
}


def party_record(**values: Any) -> PartyRecord:
    return PartyRecord(**_NOTHING | values)
