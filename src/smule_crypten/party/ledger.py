"""What one party did and what it cost: an event an epoch, totals at the end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smule_crypten.mutual_learning.exchanger import ExchangeResult
from smule_crypten.party.launcher import Emit
from smule_crypten.report.journal import EpochJournal
from smule_crypten.training.trainer import EpochResult
from smule_crypten.transport.meter import CostMeter, Traffic
from smule_crypten.types import Cost

_COUNTS = ("queries_made", "queries_answered", "answers_dropped")


@dataclass(frozen=True, kw_only=True)
class MeasuredExchange:
    """An exchange and its time, less the preparation."""

    result: ExchangeResult
    seconds: float


def measured_exchange(exchange: Callable[[], ExchangeResult]) -> MeasuredExchange:
    started = time.perf_counter()
    result = exchange()
    return MeasuredExchange(result=result, seconds=time.perf_counter() - started)


class PartyLedger:
    """Journals and emits the epochs of one party, and adds up what the whole run needs to know of them."""

    def __init__(self, party: str, journal: EpochJournal, emit: Emit) -> None:
        self._party = party
        self._journal = journal
        self._emit = emit
        self._seconds = {"training": 0.0, "exchange": 0.0}
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._disclosures: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._pending: dict[str, Any] = {}

    def exchanged(self, exchange: MeasuredExchange) -> None:
        """Account for an exchange; it is reported with the epoch that it begins."""
        result = exchange.result
        counts = {
            "queries_made": result.num_asked,
            "queries_answered": result.disclosure.num_samples,
            "answers_dropped": result.num_dropped,
        }
        for key, count in counts.items():
            self._counts[key] += count
        self._seconds["exchange"] += exchange.seconds
        self._disclosures.append(dataclasses.asdict(result.disclosure))
        self._pending = {
            **counts,
            **_cost_keys(result.cost),
            "logit_noise": result.logit_noise,
            "exchange_seconds": exchange.seconds,
        }

    def skipped(self, cost: Cost) -> None:
        """Account for agreeing that an exchange is left out; it is reported with the epoch."""
        self._pending = _cost_keys(cost)

    def epoch(self, phase: str, result: EpochResult, test_accuracy: float) -> None:
        """Report one epoch, with the exchange at its start if there was one. docs/results.md explains the keys."""
        self._seconds["training"] += result.seconds
        event = epoch_event(self._party, phase, result, test_accuracy) | self._pending
        self._pending = {}
        self._publish(event)

    def message(self, text: str) -> None:
        """Tell whoever follows the run."""
        self._emit({"kind": "message", "text": text})

    @property
    def logit_noise(self) -> float:
        """The largest standard deviation of the noise on logits that were answered."""
        return max((event["logit_noise"] for event in self._events), default=0.0)

    def state_dict(self) -> dict[str, Any]:
        return {
            "events": list(self._events),
            "seconds": dict(self._seconds),
            "counts": dict(self._counts),
            "disclosures": list(self._disclosures),
            "pending": dict(self._pending),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state: its events are journaled and emitted again, as those of earlier epochs."""
        self._seconds, self._counts = dict(state["seconds"]), dict(state["counts"])
        self._disclosures, self._pending = list(state["disclosures"]), dict(state["pending"])
        for event in state["events"]:
            self._publish(event, kind="earlier epoch")

    def _publish(self, event: dict[str, Any], kind: str = "epoch") -> None:
        self._events.append(event)
        self._journal.append(event)
        self._emit({"kind": kind, **event})

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
            "trust": [
                {key: event[key] for key in ("epoch", "peer_accuracy", "peer_weight")}
                for event in self._events
                if event["peer_weight"] is not None
            ],
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
        "peer_accuracy": result.peer_accuracy,
        "peer_weight": result.peer_weight,
        "train_accuracy": result.train_accuracy,
        "test_accuracy": test_accuracy,
        "training_seconds": result.seconds,
        "exchange_seconds": 0.0,
        "logit_noise": 0.0,
        **dict.fromkeys(_COUNTS, 0),
        **_cost_keys(Cost()),
    }


def _cost_keys(cost: Cost) -> dict[str, int]:
    keys = ("bytes_sent", "bytes_received", "dealer_bytes", "rounds", "peak_memory_bytes")
    return {key: getattr(cost, key) for key in keys}


def _both_directions(traffic: dict[str, Traffic]) -> dict[str, int]:
    return {name: counted.bytes_sent + counted.bytes_received for name, counted in traffic.items()}
