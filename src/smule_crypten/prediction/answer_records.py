"""What smule-predict and smule-estimate leave: of the command, as types. Units are those of records.py."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smule_crypten.report.record import Record, maybe
from smule_crypten.report.records import BudgetRecord


class AskedRecord(Record):
    """What a party asked once, and what that cost."""

    schema_version: Literal[1] = Field(default=1, description="version of this form")
    party: str = Field(description="whose file this is")
    scheme: str = Field(description="scheme of secure inference")
    own_model_step: int = Field(description="optimizer steps behind the party's own network")
    peer_model_step: int | None = maybe("of the peer's; null where it was asked nothing")
    queries_made: int = Field(description="samples that the party asked about")
    queries_answered: int = Field(description="samples that its network was asked about")
    answers_dropped: int = Field(description="answers that it dropped, since they could not be right")
    budget: BudgetRecord = Field(description="as in `summary.json`")
    bytes_sent: int = Field(description="bytes of the whole command to the other party")
    bytes_received: int = Field(description="from it")
    dealer_bytes: int = Field(description="from the dealer")
    rounds: int = Field(description="of the whole command")


class CombinationRecord(Record):
    own_weight: float = Field(description="weight of the party's own answer, the peer's is the rest; mean over classes")
    own_temperature: float = Field(description="which the party's own logits are divided by")
    peer_temperature: float = Field(description="which the peer's are divided by")
    num_known: int = Field(description="held-out samples that this was fitted on; 0 for equal weights without a fit")
    own_weight_by_class: list[float] | None = maybe("with `training.balanced_softmax`, by own labelled samples")


class JudgedRecord(Record):
    """How both networks do on samples of known label."""

    num_known: int = Field(description="held-out samples")
    measure: Literal["accuracy", "share of labels right", "mean absolute error"] = Field(
        default="accuracy",
        description="what the next three are: `accuracy`, `share of labels right` or `mean absolute error`, in the "
        "targets' own units",
    )
    own: float = Field(description="of the party's own network")
    peer: float = Field(description="of the peer's")
    combined: float = Field(description="of both together, cross-validated")


class PredictionRecord(AskedRecord):
    class_names: list[str] = Field(description="in the order of their numbers")
    num_images: int = Field(description="images that were predicted; queries beyond it went to the validation part")
    combination: CombinationRecord = Field(description="how both answers became one")
    validation: JudgedRecord | None = maybe("on the party's validation part; null without such samples")
    notes: list[str] = Field(description="what of a folder was left out, and what was changed, by which rule")
    versions: dict[str, str] = Field(description="of Python and packages")


class WorthRecord(JudgedRecord):
    agreement: float | None = maybe("how often both answer the same class, or label; null in regression")
    gain: float = Field(description="by how much `combined` is better than `own`")
    interval: tuple[float, float] = Field(description="its 95 %, by bootstrap, the same for the same answers")
    by_class: list[tuple[int, float, float] | None] = Field(
        description="of each class, label or target: samples, own and peer; null without samples"
    )


class PlanRecord(Record):
    problem: str | None = maybe("why the budget does not pay for a run")
    num_exchanges: int | None = maybe("in the whole run")
    num_queries: tuple[int, int] | None = maybe("of party a and party b in each exchange; null without a limit")
    exchange_bytes: int | None = maybe("of each exchange at most: both parties together, the dealer's with them")
    set_up_bytes: int | None = maybe("once, before the first exchange: both parties together")
    head_bytes: int | None = maybe("of the joint head at most, once, if one attempt solves it: both parties together")
    run_bytes: int | None = maybe("of all exchanges, the set-up and the joint head")


class EstimateRecord(AskedRecord):
    class_names: list[str] = Field(description="in the order of their numbers")
    worth: WorthRecord = Field(description="of the peer's answers on the validation part")
    run: PlanRecord = Field(description="what a run will cost")
