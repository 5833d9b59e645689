"""What is recorded of an epoch, an exchange and a party.

scripts/document_records.py shows these types in docs/results.md. Accuracies are fractions from 0 to 1, times are
seconds, bytes are payload.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smule_crypten.report.evaluation_records import EvaluationRecord, MetricRecord
from smule_crypten.report.record import Finite, Record, maybe

RunStatus = Literal["running", "completed", "failed", "interrupted"]


class TrainingRecord(Record):
    """An epoch of a training, as far as it is the party's own."""

    party: str = Field(description="`a`, `b` or `pooled`")
    phase: str = Field(description="`standalone`, `smule`, `pooled` or the name of a local control")
    epoch: int = Field(description="1 for the first epoch of this training")
    loss: Finite = Field(description="mean training loss of the epoch")
    distillation_loss: Finite = Field(description="the part of it that comes from the other party's soft labels")
    soft_label_fraction: float = Field(description="share of the training samples of this epoch that had a soft label")
    peer_accuracy: float | None = maybe(
        "how often the peer's answers are right on samples of known label; null without any"
    )
    peer_weight: float | None = maybe("mean weight, 0 to 1, of the peer's answers; null without answers")
    train_accuracy: float | None = maybe(
        "accuracy on the training samples, while training; of several labels, share of labels right; null in regression"
    )
    test_accuracy: float | None = maybe("the same on the test samples, after the epoch")
    test_metric: float | None = maybe("the run's `metric` on the test samples, after the epoch; null in older files")
    training_seconds: float = Field(description="time in training")

    @property
    def test_figure(self) -> float | None:
        """The run's metric, of files of any version."""
        return self.test_accuracy if self.test_metric is None else self.test_metric


class ExchangeRecord(Record):
    """The exchange that an epoch begins with; all zero where there was none."""

    exchange_seconds: float = Field(default=0.0, description="time in the exchange of this epoch")
    logit_noise: float = Field(
        default=0.0,
        description="standard deviation of the noise on each logit that its network answered; in regression in units "
        "of `data.target_std`",
    )
    queries_made: int = Field(default=0, description="samples that the party asked about in this epoch")
    queries_answered: int = Field(default=0, description="samples that its network was asked about")
    public_made: int = Field(default=0, description="public samples that the party asked about, beside `queries_made`")
    public_answered: int = Field(default=0, description="public samples that its network was asked about, likewise")
    answers_dropped: int = Field(default=0, description="answers that it dropped, since they could not be right")
    bytes_sent: int = Field(default=0, description="bytes from this party to the other in this epoch")
    bytes_received: int = Field(default=0, description="bytes from the other party to this one")
    dealer_bytes: int = Field(default=0, description="bytes from the dealer to this party")
    rounds: int = Field(default=0, description="rounds of this epoch")
    peak_memory_bytes: int = Field(
        default=0, description="highest memory use of the party's process so far, at the exchange's end"
    )


class EpochRecord(ExchangeRecord, TrainingRecord):
    """A line of record.jsonl: an epoch with the exchange at its start."""


class TrustRecord(Record):
    epoch: int = Field(description="of mutual learning")
    peer_accuracy: float | None = maybe("as in `record.jsonl`")
    peer_weight: float = Field(description="as in `record.jsonl`")


class AlarmRecord(Record):
    exchange: int = Field(description="after which it fired")
    test: str = Field(description="`contradiction`, `recall`, `chance` or `drop`; [threat-model.md](threat-model.md)")
    suspects: list[int] = Field(description="the exchanges that it speaks against")
    evidence: str = Field(description="in words")
    p_value: float = Field(description="of the test")
    limit: float = Field(description="which `p_value` fell below")


class PrivacyRecord(Record):
    epsilon: float = Field(description="what was spent, at `delta`")
    target_epsilon: float = Field(description="as configured")
    delta: float = Field(description="as configured")
    noise_multiplier: float = Field(description="standard deviation of the noise over `max_gradient_norm`")
    max_gradient_norm: float = Field(description="to which each sample's gradient is clipped")
    sample_rate: float = Field(description="probability that a batch holds a sample")
    steps: int = Field(description="of both trainings")


class BudgetRecord(Record):
    answered: int = Field(
        description="answers of its network in this record's exchanges, second and public ones with them"
    )
    limit: int = Field(
        description="the most answers that the other party gets in all: `disclosure.max_answers_total`; without it, "
        "what it got before this run and what the plan of this run can give it, repeats with it"
    )
    charged: int = Field(description="answers that the ledger holds for this run, those of all attempts at an exchange")
    public: int = Field(default=0, description="those of `charged` that are about public samples")
    charged_before: int = Field(description="answers to the same party in other runs")
    left: int = Field(description="what remains of the limit")
    repeats_used: int = Field(description="exchanges that were attempted again, each attempt counted")
    repeats_allowed: int = Field(description="`disclosure.repeats`")
    mu: float | None = maybe(
        "how far this noise lets what rounding tells show, over as many answers as the limit: "
        '[protocol.md](protocol.md), "Noise on the logits"'
    )
    logit_noise: float = Field(
        default=0.0,
        description="largest standard deviation of the noise on each logit that its network answered, "
        "`disclosure.logit_noise` with it; 0 where nothing was answered; in regression in units of `data.target_std`",
    )


class DisclosureRecord(Record):
    query_id: int = Field(description="1 for the first exchange of the run")
    to_party: str = Field(description="who got the answers")
    num_samples: int = Field(description="how many answers")
    model_step: int = Field(description="optimizer steps behind the network that answered")
    public: bool = Field(default=False, description="whether the samples are public, and were answered in the clear")


class HeadRecord(Record):
    features: int = Field(description="of the joint head, the constant one included")
    rows: dict[str, int] = Field(description="labelled training rows of each party, which both know")
    attempts: int = Field(description="of the solve; each opens 16 numbers to both parties")
    solve_bytes: int = Field(description="bytes of the solve, both directions")
    opening_bytes: int = Field(description="bytes of the answers of both parties, or of the revealed weights")
    rounds: int = Field(description="of both")
    answers_got: int = Field(description="that this party got")
    answers_given: int = Field(description="that it gave, those of attempts that were cut off with them")
    answers_before: int = Field(description="that it gave to the same party in other runs")
    answers_limit: int = Field(description="`joint_head.answers`")
    noise: float = Field(description="standard deviation on each output of an answer, in units of the targets")
    is_revealed: bool = Field(description="whether both parties know its weights")


class PartyFacts(Record):
    """What a summary and a party's own file say alike."""

    architecture: str | None = maybe("name of the party's network")
    num_parameters: int | None = maybe("trainable parameters of the network")
    num_train: int | None = maybe("training samples of the party")
    num_test: int | None = maybe("test samples that its accuracies are measured on")
    missing_classes: list[int] | None = maybe("classes of which the party has no training sample")
    test_accuracy: float | None = maybe(
        "accuracy with SMuLe, of the network that was kept (`kept_network`); of several labels, share of labels right; "
        "null in regression"
    )
    standalone_test_accuracy: float | None = maybe("the same of the network trained alone, kept by the same rule")
    evaluations: dict[str, EvaluationRecord] | None = maybe(
        "figures on the test samples of its networks `smule` and `standalone`, and of the finished local controls"
    )
    gains: dict[str, dict[str, MetricRecord]] | None = maybe(
        "by how much the network with SMuLe is better than each of these, by every metric, on the same test samples "
        "and resamples; above 0 where it is better, in shares and not points"
    )
    kept_network: str | None = maybe("which network `model.pt` holds: `smule, epoch n` or `alone, epoch n`")
    kept_because: Literal["last", "validation"] | None = maybe(
        "`validation`: with `training.keep=best` and a validation part, the latest network that is not clearly worse "
        "there than the best one; `last`: the one after the last epoch, as always with a joint head"
    )
    privacy: PrivacyRecord | None = maybe("what both trainings cost; null without `training.dp`")
    planned_exchange_bytes: int | None = maybe(
        "what an exchange of as many queries as the plan allows costs at most, as said beforehand: bytes of both "
        "parties together, with the dealer's, what goes ahead of it, and 4,096 for announcements and keys; "
        "null without a limit of queries"
    )
    planned_set_up_bytes: int | None = maybe(
        "what the scheme costs once, before the first exchange and again in each resumed run: both parties together"
    )
    joint_head: HeadRecord | None = maybe("what the joint head took and told; null without one")
    alarms: list[AlarmRecord] | None = maybe("over the peer's answers")
    budget: BudgetRecord | None = maybe("answers of its network, and what its limit leaves; null until it has finished")


class PartySeconds(Record):
    training: float = Field(description="time in training, of all attempts at the run")
    exchange: float = Field(description="time in exchanges, likewise")


class PartyTotals(Record):
    """What the whole run of a party did and cost."""

    queries_made: int = Field(description="samples that the party asked about")
    queries_answered: int = Field(description="samples that its network was asked about")
    public_made: int = Field(default=0, description="public samples that the party asked about, beside `queries_made`")
    public_answered: int = Field(default=0, description="public samples that its network was asked about, likewise")
    answers_dropped: int = Field(description="answers that it dropped, since they could not be right")
    bytes_sent: int = Field(description="bytes from this party to the other in the whole run, with handshake and keys")
    bytes_received: int = Field(description="bytes from the other party to this one, likewise")
    dealer_bytes: int = Field(description="bytes that the dealer sent to the party")
    rounds: int = Field(description="rounds of the whole run")
    bytes_by_layer: dict[str, int] = Field(description="bytes of the whole run, both directions, for each layer")
    bytes_by_phase: dict[str, int] = Field(
        description="the same for `handshake`, `set-up`, `keys`, `control`, `correlations`, `online`, `public`, "
        "`joint head`"
    )
    disclosures: list[DisclosureRecord] = Field(description="what its network answered, exchange by exchange")
    trust: list[TrustRecord] = Field(description="of each epoch that had answers")
    seconds: PartySeconds


class PartyRecord(PartyTotals, PartyFacts):
    """What a party knows of itself at its end, and leaves in party.json."""

    status: RunStatus = Field(description="`running` until both parties know that both are through, then `completed`")
    class_counts: list[int] = Field(description="training samples of each class")
    checkpoint: str = Field(description="where the network that was kept lies in the run's folder")
