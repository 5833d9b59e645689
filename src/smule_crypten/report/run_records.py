"""What is recorded of a whole run, and what summary.json holds of it. Units are those of records.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from smule_crypten.metric_names import METRIC_FACTS
from smule_crypten.report.evaluation_records import EvaluationRecord, MetricRecord
from smule_crypten.report.record import Finite, Record, maybe
from smule_crypten.report.records import EpochRecord, PartyFacts, PartyRecord, RunStatus, TrustRecord

Hardware = dict[str, str | int | None]
PartyKey = Annotated[str, StringConstraints(pattern="^[ab]$")]


class ControlRecord(Record):
    name: str = Field(description="of `controls` or `standalone`, picked by the run's `metric`, which favours it")
    test_accuracy: float | None = maybe("its test accuracy; null but in classification")


def higher_is_better(metric: str) -> bool:
    """Also of a name that a later version wrote."""
    return metric not in METRIC_FACTS or METRIC_FACTS[metric].higher_is_better


class PartySummary(PartyFacts):
    queries_made: int | None = maybe("samples that the party asked about")
    queries_answered: int | None = maybe("samples that its network was asked about")
    public_made: int | None = maybe("public samples that the party asked about, beside `queries_made`")
    public_answered: int | None = maybe("public samples that its network was asked about, likewise")
    answers_dropped: int | None = maybe(
        "answers that the party got and dropped, since they could not be right; the other party does not learn it"
    )
    dealer_bytes: int | None = maybe("bytes that the dealer sent to the party")
    trust: list[TrustRecord] | None = maybe("of each epoch that had answers")
    controls: dict[str, float | None] = Field(
        default_factory=dict, description="the run's `metric` of each finished local control, on the test samples"
    )
    best_local_control: ControlRecord | None = maybe(
        "null until all that were asked for are finished: the best may be missing"
    )

    def figure(self, network: str, metric: str) -> MetricRecord | None:
        """Of `smule`, `standalone` or a control, with an interval but in older files; None where it is not known."""
        evaluation = (self.evaluations or {}).get(network)
        if evaluation is not None:
            return evaluation.metrics.get(metric)
        if metric != "accuracy":
            return None
        accuracies = {"smule": self.test_accuracy, "standalone": self.standalone_test_accuracy, **self.controls}
        accuracy = accuracies.get(network)
        return None if accuracy is None else MetricRecord(value=accuracy)

    def best_control(self, metric: str) -> MetricRecord | None:
        """The figure of best_local_control."""
        return None if self.best_local_control is None else self.figure(self.best_local_control.name, metric)

    def gain(self, network: str, metric: str) -> MetricRecord | None:
        """Of SMuLe over another network, more than 0 where it is better; in older files the mere difference."""
        known = (self.gains or {}).get(network, {}).get(metric)
        smule, other = self.figure("smule", metric), self.figure(network, metric)
        if known is not None or smule is None or other is None or smule.value is None or other.value is None:
            return known
        difference = smule.value - other.value
        return MetricRecord(value=difference if higher_is_better(metric) else -difference)


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
    bytes_by_phase: dict[str, int] = Field(
        description="of the whole run: `handshake`, `set-up`, `keys`, `control`, `correlations`, `online`, `public`, "
        "`joint head`"
    )
    bytes_by_layer: dict[str, int] = Field(description="the same by layer; one entry for a name in both networks")


class Fidelity(Record):
    max_abs_logit_error: Finite = maybe(
        "largest distance of a secure logit from that of plain PyTorch, both less the mean of their sample; null if "
        "one was not finite"
    )
    top1_agreement: float | None = Field(
        description="share of answers in which both predict the same class, or of labels; null in regression"
    )
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
    provider: str | None = maybe("who dealt the correlated randomness; null with a scheme of the two parties alone")
    randomness: str = Field(description="`fresh`, or `seeded_insecure` for runs that repeat bit for bit")
    insecure_choices: list[str] = Field(description="settings that give no protection; empty for a secure run")
    seed: int = Field(description="seed of data split, initial weights and order of samples")
    task: str = Field(default="classification", description="`classification`, `multilabel` or `regression`")
    metric: str = Field(
        default="accuracy", description="the metric that tables and curves show: the task's own, or as configured"
    )
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
    pooled_evaluation: EvaluationRecord | None = maybe("all metrics of that network; null in older files")
    communication: Communication
    fidelity: Fidelity | None = maybe("of the answers that were kept; null where no simulation compared them")
    attack: AttackRecord | None = maybe("the simulated adversary; null where both parties are honest")
    seconds: RunSeconds

    def pooled_figure(self, metric: str) -> MetricRecord | None:
        """Of the network trained on pooled data, with an interval but in older files; None where it is not known."""
        if self.pooled_evaluation is not None:
            return self.pooled_evaluation.metrics.get(metric)
        accuracy = self.pooled_test_accuracy if metric == "accuracy" else None
        return None if accuracy is None else MetricRecord(value=accuracy)


@dataclass(kw_only=True)
class RunRecord:
    """Everything that is known of a run so far; summary.py and html.py turn it into files.

    data: name of the data set. settings: the configuration, for people. asked_controls: local controls of this run;
    controls: the metric of each that is finished, by party and name; evaluations and gains: all figures of it, and of
    SMuLe over it.
    """

    facts: RunFacts
    data: str
    settings: dict[str, JsonValue]
    asked_controls: Sequence[str] = ()
    status: RunStatus = "running"
    epochs: list[EpochRecord] = field(default_factory=list)
    parties: dict[str, PartyRecord] = field(default_factory=dict)
    pooled_test_accuracy: float | None = None
    pooled_evaluation: EvaluationRecord | None = None
    attack: AttackRecord | None = None
    controls: dict[str, dict[str, float | None]] = field(default_factory=dict)
    evaluations: dict[str, dict[str, EvaluationRecord]] = field(default_factory=dict)
    gains: dict[str, dict[str, dict[str, MetricRecord]]] = field(default_factory=dict)
    fidelity: list[FidelityRecord] = field(default_factory=list)
    total_seconds: float | None = None
    error: str | None = None
