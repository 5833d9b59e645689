"""The configuration of whole processes. Nothing above this floor sees Hydra or a dictionary.

`RunConfig` is what one person writes for a simulation; `PartyConfig` is what one party knows, in a simulation and
between hosts. Its public part is `ProtocolConfig`, identical at both parties and compared in the handshake; the rest
stays private. The dealer has its own (dealer.py).
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from smule_crypten.config.balancing import decided
from smule_crypten.config.between_hosts import refuse_no_terms, refuse_of_simulations, refuse_other_dealing
from smule_crypten.config.compute import ComputeConfig, refuse_together
from smule_crypten.config.connection import ConnectionConfig
from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.features import FeaturesConfig, without_constants
from smule_crypten.config.joint_head import JointHeadConfig
from smule_crypten.config.party import AuditConfig, DisclosureConfig, PartySection, PredictConfig, SamplesConfig
from smule_crypten.config.privacy_limits import refuse_what_tells
from smule_crypten.config.public_pool import PublicPoolConfig
from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import (
    MAX_SEED,
    AttackConfig,
    DataConfig,
    LaunchConfig,
    ModelConfig,
    PartitionConfig,
    ProviderConfig,
    ProviderName,
    Randomness,
    SchemeConfig,
    Section,
    TrainingConfig,
)
from smule_crypten.config.simulation import ControlName, SimulationConfig
from smule_crypten.config.task_limits import refuse_classes_only, refuse_impossible
from smule_crypten.metric_names import TaskName
from smule_crypten.types import PARTY_NAMES, LogitOpening


def insecure_choices(scheme: SchemeConfig, provider: ProviderConfig, randomness: Randomness) -> tuple[str, ...]:
    """The chosen settings that give no protection, as the user would write them."""
    choices, traits = [], scheme_traits(scheme.name)
    if traits.is_insecure:
        choices.append(f"scheme={scheme.name}")
    elif traits.needs_dealer and provider.name == "trusted_first_party":
        choices.append("provider=trusted_first_party")
    if randomness == "seeded_insecure":
        choices.append("randomness=seeded_insecure")
    return tuple(choices)


class _Common(Section):
    """What a simulation and a party between hosts have in common."""

    seed: int = Field(default=0, ge=0, le=MAX_SEED)
    """Seed of the split, the initial weights, the order of batches and the choice of queries."""
    device: str = "cpu"
    """Where networks are trained, and where scheme=lean computes: cpu, cuda or cuda:1. CrypTen's protocols stay on the
    CPU."""
    compute: ComputeConfig = ComputeConfig()
    allow_insecure: bool = False
    """Accept settings that give no protection; `smule` does, since a simulation has nobody to protect from. Between
    hosts they are refused, whatever is set here."""
    randomness: Randomness = "fresh"
    """Keys of shares and masks: from the operating system (fresh), or from the seed (seeded_insecure, as `smule` sets
    it), so that a simulation repeats bit for bit."""
    scheme: SchemeConfig = SchemeConfig()
    provider: ProviderConfig = ProviderConfig()
    task: TaskName = "classification"
    """What is learned: one class per sample, several labels each of which a sample has or has not (multilabel), or one
    or more numbers (regression)."""
    metric: str | None = None
    """The metric that decides which network is kept; docs/tasks.md lists those of each task. Null for the task's own:
    balanced accuracy, AUROC over the labels, or RMSE."""
    data: DataConfig
    features: FeaturesConfig = FeaturesConfig()
    public_pool: PublicPoolConfig = PublicPoolConfig()
    joint_head: JointHeadConfig = JointHeadConfig()
    exchange: ExchangeConfig = ExchangeConfig()
    training: TrainingConfig = TrainingConfig()
    launch: LaunchConfig = LaunchConfig()

    @property
    def insecure_choices(self) -> tuple[str, ...]:
        return insecure_choices(self.scheme, self.provider, self.randomness)

    @property
    def deals(self) -> ProviderName | None:
        """Who deals the correlated randomness; None with a scheme of the two parties alone."""
        return (self.provider.name or "dealer") if scheme_traits(self.scheme.name).needs_dealer else None

    @property
    def needs_dealer(self) -> bool:
        return self.deals == "dealer"

    @property
    def opening(self) -> LogitOpening:
        """What answers open; it follows from the task. A softmax needs no more than differences."""
        return "differences" if self.task == "classification" else "values"

    @model_validator(mode="before")
    @classmethod
    def _features_have_their_own_constants(cls, values: Any) -> Any:
        return without_constants(values)

    @model_validator(mode="after")
    def _training_is_possible(self) -> Self:
        self.features.check_augmentation(self.training.augmentation)
        refuse_together(self.compute, self.training, self.device)
        epochs = self.training.epochs
        warmup = self.exchange.warmup(epochs)
        if warmup >= epochs:
            raise ValueError(
                f"exchange.warmup_epochs={warmup} leaves no exchange in training.epochs={epochs}; lower it"
            )
        return self

    @model_validator(mode="after")
    def _the_task_can(self) -> Self:
        refuse_impossible(self.task, self.metric, self.training, self.data)
        return self

    def _check_validation(self, samples: SamplesConfig, key: str) -> None:
        setting = self.training.needs_validation
        if setting is not None and samples.validation == 0:
            raise ValueError(f"{setting} judges by a validation part; set {key}, for example to 0.1")

    def _check_privacy(self, samples: SamplesConfig, key: str) -> None:
        if self.training.dp is not None:
            has = {"has_public_pool": self.public_pool.is_on, "has_joint_head": self.joint_head.is_on}
            refuse_what_tells(self.training, self.exchange, samples, key, **has)

    @model_validator(mode="after")
    def _nobody_deals_for_two(self) -> Self:
        if self.deals is None and self.provider.name is not None:
            raise ValueError(f"provider={self.provider.name}: scheme={self.scheme.name} has none; leave it out")
        return self

    @model_validator(mode="after")
    def _insecurity_is_asked_for(self) -> Self:
        if self.insecure_choices and not self.allow_insecure:
            raise ValueError(
                f"{', '.join(self.insecure_choices)}: simulation only, gives no protection; "
                "set allow_insecure=true to accept that"
            )
        return self


class PartyConfig(_Common):
    """One party.

    In a simulation, partition splits one data set and connection is null; attack is what this party does as an
    adversary. Between hosts each party has data of its own (partition is null), and what gives no protection is refused
    whatever else is set, as is an attack.
    """

    role: Literal["a", "b"]
    """Party a waits for party b; b connects to a."""
    model: ModelConfig
    disclosure: DisclosureConfig = DisclosureConfig()
    samples: SamplesConfig = SamplesConfig()
    partition: PartitionConfig | None = None
    connection: ConnectionConfig | None = None
    terms: str | None = None
    """The file of the terms that both parties signed (smule-terms); a run that is not as they say is refused. Between
    hosts it must be given: none stands for a run that nobody has approved."""
    audit: AuditConfig = AuditConfig()
    predict: PredictConfig = PredictConfig()
    attack: AttackConfig = AttackConfig()
    output_dir: str
    """Where the party keeps its results: in party_a or party_b below it."""

    @property
    def name(self) -> str:
        return self.role

    @property
    def rank(self) -> int:
        """0 of party a, 1 of party b."""
        return PARTY_NAMES.index(self.role)

    @model_validator(mode="after")
    def _is_no_simulation(self) -> Self:
        if self.connection is not None:
            refuse_of_simulations(self.insecure_choices, self.attack, self.data)
            refuse_no_terms(self.terms)
        return self

    @model_validator(mode="after")
    def _validation_is_there(self) -> Self:
        self._check_validation(self.samples, "samples.validation")
        self._check_privacy(self.samples, "samples")
        return self

    @model_validator(mode="after")
    def _classes_are_there(self) -> Self:
        refuse_classes_only(self.task, self.partition, self.attack)
        return self

    @model_validator(mode="after")
    def _somebody_listens(self) -> Self:
        if self.connection is None:
            return self
        if self.role == "a" and self.connection.listen is None:
            raise ValueError("connection.listen: party a must listen for party b; give host:port")
        if self.role == "b" and self.connection.peer.address is None:
            raise ValueError("connection.peer.address: party b connects to party a; give its host:port")
        refuse_other_dealing(self.scheme.name, self.needs_dealer, self.connection)
        return self


class RunConfig(_Common):
    """Everything about a simulated run."""

    partition: PartitionConfig = PartitionConfig()
    party_a: PartySection
    party_b: PartySection
    simulation: SimulationConfig = SimulationConfig()
    attack: AttackConfig = AttackConfig()

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Self:
        self.features.check_attack(self.attack)
        for name, section in zip(PARTY_NAMES, (self.party_a, self.party_b), strict=True):
            self._check_validation(section.samples, f"party_{name}.samples.validation")
            self._check_privacy(section.samples, f"party_{name}.samples")
        return self

    @model_validator(mode="after")
    def _classes_are_there(self) -> Self:
        refuse_classes_only(self.task, self.partition, self.attack)
        return self

    @property
    def controls(self) -> tuple[ControlName, ...]:
        """simulation.controls, as far as the task has them."""
        without = {"label_smoothing"} if self.task == "regression" else set()
        return tuple(name for name in self.simulation.controls if name not in without)

    @model_validator(mode="after")
    def _references_are_not_private(self) -> Self:
        if self.training.dp is not None and (self.simulation.controls or self.simulation.pooled):
            raise ValueError(
                "training.dp: local controls and training on pooled data are not private; "
                "set simulation.controls=[] and simulation.pooled=false, and run them without training.dp"
            )
        return self

    @model_validator(mode="after")
    def _the_own_teacher_is_trained(self) -> Self:
        taught = [name for name in ("self_distillation", "own_head") if name in self.simulation.controls]
        if taught and not self.training.standalone:
            raise ValueError(
                f"simulation.controls: {taught[0]} learns from the network that was trained alone; "
                "set training.standalone=true or leave it out of the list"
            )
        return self

    def party_section(self, rank: int) -> PartySection:
        return (self.party_a, self.party_b)[rank]

    @property
    def decided_training(self) -> TrainingConfig:
        return decided(self.training, self.task, self.partition)

    def party(self, rank: int, output_dir: str) -> PartyConfig:
        """What one party of the simulation is told."""
        section = self.party_section(rank)
        common = {name: getattr(self, name) for name in _Common.model_fields} | {"training": self.decided_training}
        return PartyConfig(
            **common,
            role="b" if rank else "a",
            model=section.model,
            disclosure=DisclosureConfig(**section.disclosure.model_dump()),
            samples=section.samples,
            partition=self.partition,
            attack=self.attack if self.attack.party == PARTY_NAMES[rank] else AttackConfig(),
            output_dir=output_dir,
        )
