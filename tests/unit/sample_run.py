"""A run record with small round numbers, so that every sum in these tests can be checked by hand."""

from __future__ import annotations

from smule_crypten.report.records import EpochRecord, PartyRecord
from smule_crypten.report.run_records import FidelityRecord, RunFacts, RunRecord

EPOCHS = 3
WARMUP_EPOCHS = 1
_OWN = {("a", "standalone"), ("a", "smule")}


def sample_record() -> RunRecord:
    """A completed simulation of three epochs; in the second and third, a asks about 100 samples and b about 50."""
    return RunRecord(
        facts=RunFacts(
            run_id="2031-05-04_03-02-01",
            scheme="crypten",
            provider="trusted_first_party",
            randomness="fresh",
            insecure_choices=["provider=trusted_first_party"],
            seed=7,
            epochs=EPOCHS,
            versions={"python": "3.11.9", "torch": "2.13.0", "crypten": "0.4.1", "smule_crypten": "0.1.0"},
            hardware={"cpu": "Example CPU", "cores": 2, "memory_bytes": 8_000_000_000, "device": "cpu"},
        ),
        data="digits",
        settings={
            "seed": 7,
            "scheme": {"name": "crypten", "precision_bits": 16},
            "data": {"name": "digits", "path": None},
        },
        asked_controls=("label_smoothing", "self_mutual"),
        status="completed",
        epochs=_epochs(),
        parties={"a": _party("a"), "b": _party("b")},
        pooled_test_accuracy=0.96,
        controls={
            "a": {"label_smoothing": 0.89, "self_mutual": 0.91},
            "b": {"label_smoothing": 0.94, "self_mutual": 0.93},
        },
        fidelity=[
            _fidelity_check(epoch=2, data_owner="a", num_samples=100, error=2e-4, agreement=1.0),
            _fidelity_check(epoch=2, data_owner="b", num_samples=50, error=3e-4, agreement=0.94),
        ],
        total_seconds=47.25,
    )


def sample_record_of_a() -> RunRecord:
    """The same run as party a alone recorded it."""
    record = sample_record()
    record.facts = record.facts.model_copy(update={"recorded_by": "a"})
    record.epochs = [event for event in record.epochs if (event.party, event.phase) in _OWN]
    del record.parties["b"]
    record.asked_controls, record.pooled_test_accuracy, record.controls, record.fidelity = (), None, {}, []
    return record


def partial_sample_record() -> RunRecord:
    """A run in which b failed in its second SMuLe epoch, before any total was known."""
    record = sample_record()
    record.status = "failed"
    record.error = "party b: out of memory"
    record.epochs = [
        event for event in record.epochs if event.phase == "smule" and (event.party, event.epoch) != ("b", 2)
    ]
    record.epochs = [event for event in record.epochs if event.epoch <= 2]
    record.parties, record.pooled_test_accuracy, record.controls, record.fidelity = {}, None, {}, []
    record.total_seconds = None
    return record


def _epochs() -> list[EpochRecord]:
    events = []
    for epoch in range(1, EPOCHS + 1):
        for party in ("a", "b"):
            events.append(_event(party, "standalone", epoch, test_accuracy=0.6 + 0.1 * epoch))
        events.append(_event("a", "smule", epoch, test_accuracy=0.62 + 0.1 * epoch, **_traffic("a", epoch)))
        events.append(_event("b", "smule", epoch, test_accuracy=0.65 + 0.1 * epoch, **_traffic("b", epoch)))
        events += [_event(party, "self_mutual", epoch, test_accuracy=0.61 + 0.1 * epoch) for party in ("a", "b")]
        events.append(_event("pooled", "pooled", epoch, test_accuracy=0.66 + 0.1 * epoch))
    return events


def _event(party: str, phase: str, epoch: int, *, test_accuracy: float, **traffic: int) -> EpochRecord:
    values = {
        "party": party,
        "phase": phase,
        "epoch": epoch,
        "loss": 1.0 / epoch,
        "distillation_loss": 0.25 if phase == "smule" else 0.0,
        "soft_label_fraction": 0.5 if phase == "smule" else 0.0,
        "peer_accuracy": 0.8 if phase == "smule" else None,
        "peer_weight": 1 / (1 + epoch) if phase == "smule" else None,
        "train_accuracy": test_accuracy + 0.01,
        "test_accuracy": test_accuracy,
        "training_seconds": 1.5,
        "logit_noise": 0.02 if traffic.get("queries_made") else 0.0,
        "exchange_seconds": 10.0 if traffic.get("queries_made") else 0.0,
        "queries_made": 0,
        "queries_answered": 0,
        "answers_dropped": 0,
        "bytes_sent": 0,
        "bytes_received": 0,
        "dealer_bytes": 0,
        "rounds": 0,
        "peak_memory_bytes": 300_000_000,
        **traffic,
    }
    return EpochRecord.model_validate(values)


def _traffic(party: str, epoch: int) -> dict[str, int]:
    """a sends 2 MB and b 3 MB in an exchange; in the warm-up epoch the parties tell each other in 8 bytes to skip."""
    if epoch <= WARMUP_EPOCHS:
        return {"bytes_sent": 8, "bytes_received": 8, "rounds": 1}
    sent = {"a": 2_000_000, "b": 3_000_000}
    asked = {"a": 100, "b": 50}
    other = {"a": "b", "b": "a"}[party]
    return {
        "queries_made": asked[party],
        "queries_answered": asked[other],
        "bytes_sent": sent[party],
        "bytes_received": sent[other],
        "dealer_bytes": 400,
        "rounds": 90,
    }


def _party(name: str) -> PartyRecord:
    asked, answered = {"a": (200, 100), "b": (100, 200)}[name]
    sent, received = {"a": (4_001_008, 6_001_008), "b": (6_001_008, 4_001_008)}[name]
    to_party = {"a": "b", "b": "a"}[name]
    values = {
        "status": "completed",
        "architecture": {"a": "small_convnet", "b": "lenet"}[name],
        "num_parameters": 24_000,
        "num_train": {"a": 800, "b": 600}[name],
        "num_test": 360,
        "class_counts": {"a": [300, 500, 0], "b": [100, 200, 300]}[name],
        "missing_classes": {"a": [2], "b": []}[name],
        "test_accuracy": {"a": 0.92, "b": 0.95}[name],
        "standalone_test_accuracy": {"a": 0.9, "b": 0.955}[name],
        "planned_exchange_bytes": 7_000_000,
        "planned_set_up_bytes": 3_500_000,
        "kept_network": "smule, epoch 3",
        "kept_because": "last",
        "privacy": None,
        "trust": [{"epoch": 2, "peer_accuracy": 0.8, "peer_weight": 0.5}],
        "alarms": [],
        "queries_made": asked,
        "queries_answered": answered,
        "answers_dropped": 0,
        "budget": {
            "answered": answered,
            "limit": 300,
            "mu": 0.1,
            "logit_noise": 0.02,
            "charged": answered + 50,
            "charged_before": 0,
            "left": 250 - answered,
            "repeats_used": 1,
            "repeats_allowed": 2,
        },
        "bytes_sent": sent,
        "bytes_received": received,
        "dealer_bytes": 800,
        "rounds": 185,
        "bytes_by_layer": {"conv1": 6_000_000, "relu1": 3_000_000, "logits": 1_000_000},
        "bytes_by_phase": {"handshake": 1_500, "keys": 500, "control": 16, "online": 10_000_000},
        "checkpoint": f"party_{name}/model.pt",
        "disclosures": [
            {"query_id": query, "to_party": to_party, "num_samples": answered // 2, "model_step": 7 * query}
            for query in (1, 2)
        ],
        "seconds": {"training": 12.5, "exchange": 31.0} if name == "a" else {"training": 1.0, "exchange": 2.0},
    }
    return PartyRecord.model_validate(values)


def _fidelity_check(*, epoch: int, data_owner: str, num_samples: int, error: float, agreement: float) -> FidelityRecord:
    return FidelityRecord(
        epoch=epoch,
        data_owner=data_owner,
        num_samples=num_samples,
        max_abs_logit_error=error,
        top1_agreement=agreement,
    )
