"""What one party did and what it cost: an event an epoch, totals at the end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smule_crypten.exchange.exchanger import ExchangeResult
from smule_crypten.mpc.meter import CostMeter, Traffic
from smule_crypten.processes.launcher import Emit
from smule_crypten.report.journal import EpochJournal
from smule_crypten.training.trainer import EpochResult
from smule_crypten.types import Cost


@dataclass(frozen=True, kw_only=True)
class MeasuredExchange:
    """An exchange with everything it sent and received, announcements included."""

    result: ExchangeResult
    cost: Cost
    seconds: float


def measured_exchange(meter: CostMeter, exchange: Callable[[], ExchangeResult]) -> MeasuredExchange:
    before, started = meter.total(), time.perf_counter()
    result = exchange()
    after = meter.total()
    cost = Cost(
        rounds=after.rounds - before.rounds,
        bytes_sent=after.bytes_sent - before.bytes_sent,
        bytes_received=after.bytes_received - before.bytes_received,
        dealer_bytes=after.dealer_bytes - before.dealer_bytes,
        peak_memory_bytes=result.prediction.cost.peak_memory_bytes,
    )
    return MeasuredExchange(result=result, cost=cost, seconds=time.perf_counter() - started)


class PartyLedger:
    """Journals and emits the epochs of one party, and adds up what the whole run needs to know of them."""

    def __init__(self, party: str, journal: EpochJournal, emit: Emit) -> None:
        self._party = party
        self._journal = journal
        self._emit = emit
        self._seconds = {"training": 0.0, "exchange": 0.0}
        self._counts = {"queries_made": 0, "queries_answered": 0, "answers_discarded": 0}
        self._disclosures: list[dict[str, Any]] = []

    def epoch(
        self, phase: str, result: EpochResult, test_accuracy: float, exchange: MeasuredExchange | None = None
    ) -> None:
        """Account for one epoch, with the exchange that stood at its start. docs/results.md explains the keys."""
        counts = _counts(exchange)
        for key, count in counts.items():
            self._counts[key] += count
        if exchange is not None:
            self._disclosures.append(dataclasses.asdict(exchange.result.disclosure))
            self._seconds["exchange"] += exchange.seconds
        self._seconds["training"] += result.seconds
        event = epoch_event(self._party, phase, result, test_accuracy)
        if exchange is not None:
            event |= counts | _cost_keys(exchange.cost) | {"exchange_seconds": exchange.seconds}
        self._journal.append(event)
        self._emit({"kind": "epoch", **event})

    def totals(self, meter: CostMeter) -> dict[str, Any]:
        total = meter.total()
        return {
            **self._counts,
            "bytes_sent": total.bytes_sent,
            "bytes_received": total.bytes_received,
            "dealer_bytes": total.dealer_bytes,
            "rounds": total.rounds,
            "bytes_by_layer": _both_directions(meter.by_layer),
            "bytes_by_phase": _both_directions(meter.by_phase),
            "disclosures": self._disclosures,
            "seconds": self._seconds,
        }


def epoch_event(party: str, phase: str, result: EpochResult, test_accuracy: float) -> dict[str, Any]:
    """The event of an epoch without an exchange."""
    return {
        "party": party,
        "phase": phase,
        "epoch": result.epoch,
        "loss": result.loss,
        "distillation_loss": result.distillation_loss,
        "soft_label_fraction": result.soft_label_fraction,
        "train_accuracy": result.train_accuracy,
        "test_accuracy": test_accuracy,
        "training_seconds": result.seconds,
        "exchange_seconds": 0.0,
        **_counts(None),
        **_cost_keys(Cost()),
    }


def _counts(exchange: MeasuredExchange | None) -> dict[str, int]:
    if exchange is None:
        return {"queries_made": 0, "queries_answered": 0, "answers_discarded": 0}
    return {
        "queries_made": len(exchange.result.prediction.sample_ids),
        "queries_answered": exchange.result.disclosure.num_samples,
        "answers_discarded": exchange.result.num_discarded,
    }


def _cost_keys(cost: Cost) -> dict[str, int]:
    keys = ("bytes_sent", "bytes_received", "dealer_bytes", "rounds", "peak_memory_bytes")
    return {key: getattr(cost, key) for key in keys}


def _both_directions(traffic: dict[str, Traffic]) -> dict[str, int]:
    return {name: counted.bytes_sent + counted.bytes_received for name, counted in traffic.items()}
