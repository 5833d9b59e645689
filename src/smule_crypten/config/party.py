"""What a party says of itself: its samples, how much it discloses, how it predicts."""

from __future__ import annotations

import re

from pydantic import Field, model_validator

from smule_crypten.config.sections import RARE, ModelConfig, Section

_FINGERPRINT = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){31}")


class DisclosureLimits(Section):
    """How many answers a party's network gives.

    A count, not a privacy guarantee; second answers and repeated attempts count.
    """

    max_answers_total: int | None = Field(default=None, ge=0)
    """The most answers that the party's network gives to the peer in total; null for as many as the plan of the run
    asks for. A count, not a privacy guarantee."""
    max_answers_per_exchange: int | None = Field(default=None, ge=0)
    """The most answers in one exchange; null for no limit."""
    repeats: int = Field(default=2, ge=0, json_schema_extra=RARE)
    """How many exchanges of a run may be attempted again after they were cut off, and how often the solve of its joint
    head and the answers of that; each attempt counts."""
    logit_noise: float = Field(default=0.0, ge=0.0, json_schema_extra=RARE)
    """Standard deviation of normal noise that the owner of the network adds to its share of each logit, beside the
    noise that hides the rounding. In regression it is in units of data.target_std."""


class DisclosureConfig(DisclosureLimits):
    """The limits of a party whose certificate and ledger outlive a run."""

    ledger: str | None = None
    """The file that the total is counted by, kept over many runs; null for one in the output folder."""
    former_fingerprints: tuple[str, ...] = Field(default=(), strict=False, json_schema_extra=RARE)
    """SHA-256 fingerprints of certificates that the peer had before: what was answered to their owner counts."""

    @model_validator(mode="after")
    def _fingerprints_can_match(self) -> DisclosureConfig:
        for text in self.former_fingerprints:
            if not _FINGERPRINT.fullmatch(text):
                raise ValueError(f"former_fingerprints: {text!r} is none; copy it from the ledger or smule-keys show")
        return self


class AuditConfig(Section):
    """What an auditor reads afterwards."""

    path: str | None = Field(default=None, json_schema_extra=RARE)
    """The audit log of this side, kept over many runs; null for audit.jsonl in the output folder."""


class SamplesConfig(Section):
    """How a party uses its own training samples."""

    labeled: int | None = Field(default=None, ge=1)
    """How many training samples keep their labels; null for all that are not in the pool."""
    unlabeled: int = Field(default=0, ge=0)
    """How many more serve without their labels, as a pool that the peer can be asked about."""
    validation: float = Field(default=0.1, ge=0.0, le=0.5)
    """Share of the labelled ones that is held out, to judge the peer and the party's own network by."""


class PartySection(Section):
    """What may differ between the parties in a simulation."""

    model: ModelConfig
    disclosure: DisclosureLimits = DisclosureLimits()
    samples: SamplesConfig = SamplesConfig()


class PredictConfig(Section):
    """What a trained party does with its network (smule-predict, smule-estimate)."""

    validation_queries: int = Field(default=200, ge=0)
    """The most samples of the party's own validation part that smule-predict and smule-estimate ask the peer about, to
    judge and weigh its answers."""
    checkpoint: str | None = None
    """The party's own network in smule-predict and smule-estimate; null for model.pt of the output folder."""
