"""What is recorded of a whole run, and what summary.json holds of it. Units are those of records.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from smule_crypten.report.record import Finite, Record, maybe
from smule_crypten.report.records import EpochRecord, PartyFacts, PartyRecord, RunStatus, TrustRecord

Hardware = dict[str, str | int | None]
PartyKey = Annotated[str, StringConstraints(pattern="^[ab]$")]


class ControlRecord(Record):
    name: str = Field(description="of `controls` or `standalone`, picked by test accuracy, which favours it")
    test_accuracy: float = Field(description="its test accuracy, which SMuLe has to exceed")


class PartySummary(PartyFacts):
    queries_made: int | None = maybe("samples that the party asked about")
    queries_answered: int | None = maybe("samples that its network was asked about")
    answers_dropped: int | None = maybe(
        "answers that the party got and dropped, since they could not be right; the other party does not learn it"
    )
    dealer_bytes: int | None = maybe("bytes that the dealer sent to the party")
    trust: list[TrustRecord] | None = maybe("of each epoch that had answers")
    controls: dict[str, float] = Field(default_factory=dict, description="test accuracy of each finished local control")
    best_local_control: ControlRecord | None = maybe(
        "null until all that were asked for are finished: the best may be missing"
    )

    @property
    def control_accuracy(self) -> float | None:
        best = self.best_local_control
        return None if best is None else best.test_accuracy


class Communication(Record):
    bytes_per_epoch: list[int] = Field(
        description="bytes of each SMuLe epoch, both directions; the first entry is epoch 1. In a simulation, epochs "
        "that only one party finished are left out"
    )
    bytes_total: int | None = maybe("bytes of the whole run, both directions, with handshake and keys")
    dealer_bytes_total: int | None = maybe("bytes that the dealer sent to both parties; null in a party's own record")
    rounds_total: int | None = maybe("rounds of the whole run")
    queries_per_epoch: list[int] = Field(description="queries of both parties in each SMuLe epoch")
    bytes_per_query: float | None = maybe("sum of `bytes_per_epoch` over sum of `queries_per_epoch`")
    bytes_by_phase: dict[str, int] = Field(description="of the whole run: `handshake`, `keys`, `control`, `online`")
    bytes_by_layer: dict[str, int] = Field(description="the same by layer; one entry for a name in both networks")


class Fidelity(Record):
    max_abs_logit_error: Finite = maybe(
        "largest distance of a secure logit from that of plain PyTorch, both less the mean of their sample; null if "
        "one was not finite"
    )
    top1_agreement: float = Field(description="share of answers in which both predict the same class")
    num_samples: int = Field(description="answers that were compared")


class FidelityRecord(Fidelity):
    """Of the answers that one party got in the exchange before an epoch."""

    epoch: int
    data_owner: str


class AttackRecord(Record):
    name: str = Field(description="which attack, as one sets `attack.name`")
    party: str = Field(description="the adversary")
    success: dict[str, Finite] = Field(
        default_factory=dict,
        description="how often the honest party's networks `alone`, `smule` and `pooled` do what it aims at, 0 to 1, "
        "null where it aims at mere harm",
    )


class RunSeconds(Record):
    training: float | None = maybe(
        "time in training, of all attempts at the run, of the party that took longer for training and exchanges"
    )
    exchange: float | None = maybe("time in exchanges, of the same party")
    total: float | None = maybe("time from start to end of the last attempt")


class RunFacts(Record):
    """What is known of a run before it begins."""

    schema_version: Literal[1] = Field(default=1, description="grows when a key changes its meaning")
    run_id: str = Field(description="name of the run")
    recorded_by: str | None = maybe("the party whose own record this is; null for a simulation, which sees both")
    scheme: str = Field(description="scheme of secure inference, for example `crypten`")
    provider: str = Field(description="where the correlated randomness came from")
    randomness: str = Field(description="`fresh`, or `seeded_insecure` for runs that repeat bit for bit")
    insecure_choices: list[str] = Field(description="settings that protect nothing; empty for a secure run")
    seed: int = Field(description="seed of data split, initial weights and order of samples")
    epochs: int = Field(description="asked for; as many as `communication.bytes_per_epoch` has entries were finished")
    data_notes: list[str] = Field(
        default_factory=list,
        description="what the reader of the data counted, left out and changed, and whose rows the constants of a "
        "table without a schema come from",
    )
    versions: dict[str, str] = Field(description="versions of Python and of the packages that matter")
    hardware: Hardware = Field(description="processor, cores, memory, platform, device")


class RunSummary(RunFacts):
    """summary.json."""

    status: RunStatus = Field(description="`running`, `completed`, `failed` or `interrupted`")
    error: str | None = maybe("why the run failed, in one line")
    parties: dict[PartyKey, PartySummary] = Field(min_length=2)
    pooled_test_accuracy: float | None = maybe("accuracy of party a's network, trained on the data of both parties")
    communication: Communication
    fidelity: Fidelity | None = maybe("of the answers that were kept; null where no simulation compared them")
    attack: AttackRecord | None = maybe("the simulated adversary; null where both parties are honest")
    seconds: RunSeconds


@dataclass(kw_only=True)
class RunRecord:
    """Everything that is known of a run so far; summary.py and html.py turn it into files.

    data: name of the data set. settings: the configuration, for people. asked_controls: local controls of this run;
    controls: test accuracy of each that is finished, by party and name.
    """

    facts: RunFacts
    data: str
    settings: dict[str, JsonValue]
    asked_controls: Sequence[str] = ()
    status: RunStatus = "running"
    epochs: list[EpochRecord] = field(default_factory=list)
    parties: dict[str, PartyRecord] = field(default_factory=dict)
    pooled_test_accuracy: float | None = None
    attack: AttackRecord | None = None
    controls: dict[str, dict[str, float]] = field(default_factory=dict)
    fidelity: list[FidelityRecord] = field(default_factory=list)
    total_seconds: float | None = None
    error: str | None = None
