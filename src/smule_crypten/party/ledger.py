"""What one party did and what it cost: a record per epoch, totals at the end."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from smule_crypten.audit.auditor import Auditor
from smule_crypten.mutual_learning.peer import Answers
from smule_crypten.party.events import Emit, EpochEnded, Message
from smule_crypten.report.journal import EpochJournal
from smule_crypten.report.records import (
    DisclosureRecord,
    EpochRecord,
    ExchangeRecord,
    PartySeconds,
    PartyTotals,
    TrustRecord,
)
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.trainer import EpochResult
from smule_crypten.transport.meter import CostMeter, Traffic
from smule_crypten.types import Cost


class PartyLedger:
    """Journals and emits the epochs of one party, and adds up what the whole run needs to know of them.

    Args:
        audit: hears of each exchange and alarm as soon as it is there.
    """

    def __init__(self, party: str, journal: EpochJournal, emit: Emit, audit: Auditor) -> None:
        self.audit = audit
        self._party = party
        self._journal = journal
        self._emit = emit
        self._disclosures: list[DisclosureRecord] = []
        self._epochs: list[EpochRecord] = []
        self._pending = ExchangeRecord()

    def exchanged(self, answers: Answers, seconds: float) -> None:
        """Account for an exchange; it is reported with the epoch that it begins."""
        public = answers.public
        self._disclosures.append(DisclosureRecord(**asdict(answers.disclosure)))
        if public is not None:
            self._disclosures.append(DisclosureRecord(**asdict(public.disclosure), public=True))
        self._pending = ExchangeRecord(
            queries_made=answers.num_asked,
            queries_answered=answers.disclosure.num_samples,
            public_made=0 if public is None else public.num_asked,
            public_answered=0 if public is None else public.disclosure.num_samples,
            answers_dropped=answers.num_dropped + (0 if public is None else public.num_dropped),
            logit_noise=answers.logit_noise,
            exchange_seconds=seconds,
            **_counts(answers.cost),
        )
        self.audit.exchanged(answers.disclosure.query_id, self._pending)

    def epoch(self, phase: str, result: EpochResult, tested: Outcome) -> None:
        """Report one epoch, with the exchange at its start if there was one."""
        record, self._pending = epoch_record(self._party, phase, result, tested, self._pending), ExchangeRecord()
        self._publish(record)

    def message(self, text: str) -> None:
        """Tell whoever follows the run."""
        self._emit(Message(text))

    @property
    def queries_answered(self) -> int:
        return sum(epoch.queries_answered for epoch in self._epochs)

    @property
    def answers_given(self) -> int:
        """Those about public samples with them."""
        return self.queries_answered + sum(epoch.public_answered for epoch in self._epochs)

    @property
    def logit_noise(self) -> float:
        """The largest standard deviation of the noise on logits that were answered."""
        return max((epoch.logit_noise for epoch in self._epochs), default=0.0)

    def state_dict(self) -> dict[str, Any]:
        return {
            "events": [epoch.model_dump() for epoch in self._epochs],
            "disclosures": [disclosure.model_dump() for disclosure in self._disclosures],
            "pending": self._pending.model_dump(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state: its epochs are journaled and emitted again, as those of an earlier attempt."""
        self._disclosures = [DisclosureRecord(**disclosure) for disclosure in state["disclosures"]]
        self._pending = ExchangeRecord(**state["pending"])
        for epoch in state["events"]:
            self._publish(EpochRecord(**epoch), is_new=False)

    def _publish(self, epoch: EpochRecord, is_new: bool = True) -> None:
        self._epochs.append(epoch)
        self._journal.append(epoch)
        self._emit(EpochEnded(epoch, is_new))

    def totals(self, meter: CostMeter) -> PartyTotals:
        total, epochs = meter.total(), self._epochs
        return PartyTotals(
            queries_made=sum(epoch.queries_made for epoch in epochs),
            queries_answered=self.queries_answered,
            public_made=sum(epoch.public_made for epoch in epochs),
            public_answered=sum(epoch.public_answered for epoch in epochs),
            answers_dropped=sum(epoch.answers_dropped for epoch in epochs),
            bytes_sent=total.bytes_sent,
            bytes_received=total.bytes_received,
            dealer_bytes=total.dealer_bytes,
            rounds=total.rounds,
            bytes_by_layer=_both_directions(meter.by_layer),
            bytes_by_phase=_both_directions(meter.by_phase),
            disclosures=list(self._disclosures),
            trust=[
                TrustRecord(epoch=epoch.epoch, peer_accuracy=epoch.peer_accuracy, peer_weight=epoch.peer_weight)
                for epoch in epochs
                if epoch.peer_weight is not None
            ],
            seconds=PartySeconds(
                training=sum((epoch.training_seconds for epoch in epochs), start=0.0),
                exchange=sum((epoch.exchange_seconds for epoch in epochs), start=0.0),
            ),
        )


def epoch_record(
    party: str, phase: str, result: EpochResult, tested: Outcome, exchange: ExchangeRecord | None = None
) -> EpochRecord:
    """Of an epoch that began with this exchange, or with none."""
    facts = {**vars(result), **vars(exchange or ExchangeRecord())}
    seconds = facts.pop("seconds")
    facts |= {"test_accuracy": tested.accuracy, "test_metric": tested.score, "training_seconds": seconds}
    return EpochRecord(party=party, phase=phase, **facts)


def _counts(cost: Cost) -> dict[str, int]:
    keys = ("bytes_sent", "bytes_received", "dealer_bytes", "rounds", "peak_memory_bytes")
    return {key: getattr(cost, key) for key in keys}


def _both_directions(traffic: dict[str, Traffic]) -> dict[str, int]:
    return {name: counted.bytes_sent + counted.bytes_received for name, counted in traffic.items()}
