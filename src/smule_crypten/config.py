"""The configuration of a run as frozen, validated models. Nothing above this floor sees Hydra or a dictionary.

`RunConfig` is what one person writes for a simulation. A party receives two views of it: `ProtocolConfig`, which
must be identical at both parties and is compared in the handshake, and `PartyConfig`, which stays private.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from smule_crypten.errors import ConfigError
from smule_crypten.types import PARTY_NAMES

Randomness = Literal["fresh", "seeded_insecure"]
INSECURE_PROVIDERS = frozenset({"trusted_first_party"})


class Section(BaseModel):
    """Base of every part of the configuration: immutable, unknown keys refused, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataConfig(Section):
    """Which data set, and where it lies. mean and std are public constants, one a channel or one for all."""

    name: str
    path: str | None = None
    download: bool = False
    mean: tuple[float, ...] = Field(default=(0.0,), strict=False)
    std: tuple[float, ...] = Field(default=(1.0,), strict=False)
    max_train: int | None = Field(default=None, ge=1)
    max_test: int | None = Field(default=None, ge=1)
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _std_is_positive(self) -> DataConfig:
        if any(value <= 0 for value in self.std):
            raise ValueError(f"std must be positive, got {self.std}")
        return self


class PartitionConfig(Section):
    """How a simulation splits one data set between the parties.

    fraction_a is A's expected share of the samples. alpha is the Dirichlet concentration (Dirichlet only);
    classes_a are the labels that A holds (by_class only).
    """

    name: Literal["iid", "dirichlet", "by_class", "unequal"]
    fraction_a: float = Field(default=0.5, gt=0.0, lt=1.0)
    alpha: float = Field(default=0.5, gt=0.0)
    classes_a: tuple[int, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _classes_belong_to_by_class(self) -> PartitionConfig:
        if self.name == "by_class" and not self.classes_a:
            raise ValueError("by_class needs classes_a, the labels that party a holds, for example [0,1,2,3,4]")
        return self


class ModelConfig(Section):
    """A network of the zoo by name, with its own options; `name: target` builds any importable callable."""

    name: str
    options: dict[str, Any] = {}


class PartySection(Section):
    """What may differ between the parties in a simulation."""

    model: ModelConfig


class SchemeConfig(Section):
    """A secure-inference scheme of the registry. precision_bits are the fractional bits of fixed point."""

    name: str
    precision_bits: int = Field(default=16, ge=4, le=24)
    micro_batch: int = Field(default=64, ge=1)


class ProviderConfig(Section):
    name: Literal["trusted_first_party"]


class ExchangeConfig(Section):
    """When the parties ask each other, and how much.

    num_queries: samples an exchange and party; null asks about all of them. The first exchange comes after
    warmup_epochs epochs (null: half of all), then one every `every` epochs. max_age: exchanges after which an answer
    is forgotten.
    """

    num_queries: int | None = Field(default=None, ge=1)
    every: int = Field(default=1, ge=1)
    warmup_epochs: int | None = Field(default=None, ge=0)
    max_age: int | None = Field(default=None, ge=1)


class OptimizerConfig(Section):
    name: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.1, gt=0.0)
    weight_decay: float = Field(default=5e-4, ge=0.0)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    gradient_clip: float | None = Field(default=5.0, gt=0.0)


class AugmentationConfig(Section):
    """crop: zero padding in pixels before a random crop back to size; flip: horizontal, with probability 1/2."""

    crop: int = Field(default=0, ge=0)
    flip: bool = False


class TrainingConfig(Section):
    """Mutual learning: cross entropy + distillation_weight * temperature^2 * KL(peer || own)."""

    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=128, ge=1)
    temperature: float = Field(default=2.0, gt=0.0)
    distillation_weight: float = Field(default=1.0, ge=0.0)
    optimizer: OptimizerConfig = OptimizerConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    standalone: bool = True


class LaunchConfig(Section):
    """threads: PyTorch threads a party. deadline_seconds: longest wait for the other party."""

    threads: int = Field(default=1, ge=1)
    deadline_seconds: float = Field(default=3600.0, gt=0.0)


class SimulationConfig(Section):
    """What only a simulation can do, because it sees both sides: reference on pooled data, fidelity check."""

    pooled: bool = True
    fidelity: bool = True


class RunConfig(Section):
    """Everything about a simulated run. See conf/config.yaml for the meaning of each key to a user."""

    seed: int = Field(default=0, ge=0)
    device: str = "cpu"
    allow_insecure: bool = False
    randomness: Randomness = "fresh"
    scheme: SchemeConfig
    provider: ProviderConfig
    data: DataConfig
    partition: PartitionConfig
    party_a: PartySection
    party_b: PartySection
    exchange: ExchangeConfig
    training: TrainingConfig
    launch: LaunchConfig = LaunchConfig()
    simulation: SimulationConfig = SimulationConfig()

    @property
    def insecure_choices(self) -> tuple[str, ...]:
        """The chosen settings that protect nothing, as the user would write them."""
        choices = []
        if self.scheme.name == "plaintext":
            choices.append("scheme=plaintext")
        elif self.provider.name in INSECURE_PROVIDERS:
            choices.append(f"provider={self.provider.name}")
        if self.randomness == "seeded_insecure":
            choices.append("randomness=seeded_insecure")
        return tuple(choices)

    @model_validator(mode="after")
    def _exchanges_happen(self) -> RunConfig:
        warmup, epochs = self.exchange.warmup_epochs, self.training.epochs
        if warmup is not None and warmup >= epochs:
            raise ValueError(
                f"exchange.warmup_epochs={warmup} leaves no exchange in training.epochs={epochs}; lower it"
            )
        return self

    @model_validator(mode="after")
    def _insecurity_is_asked_for(self) -> RunConfig:
        if self.insecure_choices and not self.allow_insecure:
            raise ValueError(
                f"{', '.join(self.insecure_choices)}: simulation only, protects nothing; "
                "set allow_insecure=true to accept that"
            )
        return self

    def party_section(self, rank: int) -> PartySection:
        return (self.party_a, self.party_b)[rank]


class ProtocolConfig(Section):
    """The public part: identical at both parties, compared by digest before anything else is sent."""

    protocol_version: int = 1
    scheme: SchemeConfig
    provider: ProviderConfig
    randomness: Randomness
    exchange: ExchangeConfig
    epochs: int
    input_shape: tuple[int, int, int]
    num_classes: int

    @classmethod
    def from_run(cls, run: RunConfig, input_shape: tuple[int, int, int], num_classes: int) -> ProtocolConfig:
        return cls(
            scheme=run.scheme,
            provider=run.provider,
            randomness=run.randomness,
            exchange=run.exchange,
            epochs=run.training.epochs,
            input_shape=input_shape,
            num_classes=num_classes,
        )

    def digest(self) -> str:
        """SHA-256 of the canonical JSON form, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


class PartyConfig(Section):
    """What one party keeps to itself. rank 0 is party a, rank 1 is party b."""

    rank: int = Field(ge=0, le=1)
    run: RunConfig
    output_dir: str

    @property
    def name(self) -> str:
        return PARTY_NAMES[self.rank]

    @property
    def model(self) -> ModelConfig:
        return self.run.party_section(self.rank).model


def parse_run_config(values: Mapping[str, Any]) -> RunConfig:
    """Validate plain values (no omegaconf types).

    Raises:
        ConfigError: one line that names the key, what is wrong with it and what is valid.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe_validation(error)) from None


def suggest(wrong: str, known: list[str]) -> str:
    """' (did you mean x? known: ...)' for an unknown name."""
    close = difflib.get_close_matches(wrong, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"({hint}known: {', '.join(sorted(known))})"


def describe_validation(error: ValidationError, prefix: str = "") -> str:
    """One line that names each bad key (below prefix), what is wrong with it and its value."""
    problems = []
    for item in error.errors(include_url=False):
        key = ".".join([prefix, *map(str, item["loc"])]).lstrip(".")
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key"
        elif item["type"] == "missing":
            message = "must be given"
        elif item["type"] != "value_error":
            message = f"{message}, got {item['input']!r}"
        problems.append(f"{key}: {message}" if key else message)
    return "; ".join(problems)
