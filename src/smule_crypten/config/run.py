"""The configuration of whole processes. Nothing above this floor sees Hydra or a dictionary.

`RunConfig` is what one person writes for a simulation; `PartyConfig` is what one party knows, in a simulation and
between hosts. Its public part is `ProtocolConfig`, identical at both parties and compared in the handshake; the rest
stays private. `DealerConfig` belongs to the dealer.
"""

from __future__ import annotations

import hashlib
import json
from typing import Self

from pydantic import Field, model_validator

from smule_crypten.config.exchange import ExchangeConfig, ExchangeTerms
from smule_crypten.config.network import NetworkConfig
from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import (
    MAX_SEED,
    AttackConfig,
    BudgetConfig,
    DataConfig,
    LaunchConfig,
    ModelConfig,
    PartitionConfig,
    PartySection,
    PredictConfig,
    ProviderConfig,
    Randomness,
    SamplesConfig,
    SchemeConfig,
    Section,
    SimulationConfig,
    TrainingConfig,
)
from smule_crypten.types import PARTY_NAMES


def insecure_choices(scheme: SchemeConfig, provider: ProviderConfig, randomness: Randomness) -> tuple[str, ...]:
    """The chosen settings that protect nothing, as the user would write them."""
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
    device: str = "cpu"
    allow_insecure: bool = False
    randomness: Randomness = "fresh"
    scheme: SchemeConfig
    provider: ProviderConfig
    data: DataConfig
    exchange: ExchangeConfig
    training: TrainingConfig
    launch: LaunchConfig = LaunchConfig()

    @property
    def insecure_choices(self) -> tuple[str, ...]:
        return insecure_choices(self.scheme, self.provider, self.randomness)

    @model_validator(mode="after")
    def _exchanges_happen(self) -> Self:
        epochs, wanted = self.training.epochs, self.exchange.num_exchanges
        warmup = self.exchange.warmup(epochs)
        if warmup >= epochs:
            raise ValueError(
                f"exchange.warmup_epochs={warmup} leaves no exchange in training.epochs={epochs}; lower it"
            )
        if wanted is not None and wanted > epochs - warmup:
            raise ValueError(
                f"exchange.num_exchanges={wanted} is more than the {epochs - warmup} epochs that "
                f"exchange.warmup_epochs={warmup} leaves of training.epochs={epochs}; lower one of both"
            )
        return self

    def _check_validation(self, samples: SamplesConfig, key: str) -> None:
        setting = self.training.needs_validation
        if self.exchange.schedule == "adaptive":
            setting = "exchange.schedule=adaptive"
        if setting is not None and samples.validation == 0:
            raise ValueError(f"{setting} judges by a validation part; set {key}, for example to 0.1")

    def _check_privacy(self, samples: SamplesConfig, key: str) -> None:
        """What would make a training depend on its samples other than through clipped and noisy gradients."""
        if self.training.dp is None:
            return
        training, queries = self.training, self.exchange.queries
        needed = {
            "training.trust=none": training.trust == "none",
            "training.balanced_softmax=false": not training.balanced_softmax,
            "training.self_mutual=false": not training.self_mutual,
            "training.alarm=report or off": training.alarm != "quarantine",
            "exchange.queries.selection=uniform": queries.selection == "uniform",
            "exchange.queries.view=none": queries.view == "none",
            # That a check failed ends the run, and so would tell of the samples that were checked.
            "exchange.spot_checks=0": self.exchange.spot_checks == 0,
            f"{key}.unlabeled=0": samples.unlabeled == 0,
        }
        missing = [setting for setting, is_kept in needed.items() if not is_kept]
        if missing:
            raise ValueError(
                f"training.dp: other settings would tell of training samples past the noise; set {', '.join(missing)}"
            )

    @model_validator(mode="after")
    def _insecurity_is_asked_for(self) -> Self:
        if self.insecure_choices and not self.allow_insecure:
            raise ValueError(
                f"{', '.join(self.insecure_choices)}: simulation only, protects nothing; "
                "set allow_insecure=true to accept that"
            )
        return self


class PartyConfig(_Common):
    """One party. rank 0 is party a, rank 1 is party b.

    In a simulation, partition splits one data set and network is null; attack is what this party does as an adversary.
    Between hosts each party has data of its own (partition is null), and what protects nothing is refused whatever else
    is set, as is an attack.
    """

    rank: int = Field(ge=0, le=1)
    model: ModelConfig
    budget: BudgetConfig = BudgetConfig()
    samples: SamplesConfig = SamplesConfig()
    partition: PartitionConfig | None = None
    network: NetworkConfig | None = None
    predict: PredictConfig = PredictConfig()
    attack: AttackConfig = AttackConfig()
    output_dir: str

    @property
    def name(self) -> str:
        return PARTY_NAMES[self.rank]

    @property
    def needs_dealer(self) -> bool:
        return scheme_traits(self.scheme.name).needs_dealer and self.provider.name == "dealer"

    @model_validator(mode="after")
    def _nothing_insecure_between_hosts(self) -> Self:
        if self.network is not None and self.insecure_choices:
            raise ValueError(f"{', '.join(self.insecure_choices)}: refused between hosts, since it protects nothing")
        if self.network is not None and self.attack.name != "none":
            raise ValueError(f"attack={self.attack.name}: refused between hosts; attacks are simulated only (smule)")
        return self

    @model_validator(mode="after")
    def _validation_is_there(self) -> Self:
        self._check_validation(self.samples, "samples.validation")
        self._check_privacy(self.samples, "samples")
        return self

    @model_validator(mode="after")
    def _somebody_listens(self) -> Self:
        if self.network is None:
            return self
        if self.rank == 0 and self.network.listen is None:
            raise ValueError("network.listen: party a must listen for party b; give host:port")
        if self.rank == 1 and self.network.peer.address is None:
            raise ValueError("network.peer.address: party b connects to party a; give its host:port")
        if self.network.dealer.address is None:
            raise ValueError("network.dealer.address: both parties connect to the dealer; give its host:port")
        return self


class RunConfig(_Common):
    """Everything about a simulated run. See conf/config.yaml for the meaning of each key to a user."""

    partition: PartitionConfig
    party_a: PartySection
    party_b: PartySection
    simulation: SimulationConfig = SimulationConfig()
    attack: AttackConfig = AttackConfig()

    @model_validator(mode="after")
    def _budgets_end_with_the_run(self) -> Self:
        for name, section in (("party_a", self.party_a), ("party_b", self.party_b)):
            if section.budget.ledger is not None or section.budget.former_fingerprints:
                raise ValueError(
                    f"{name}.budget: ledger and former_fingerprints serve between hosts only (smule-party); "
                    "the parties of a simulation throw their certificates away"
                )
        return self

    @model_validator(mode="after")
    def _validation_is_there(self) -> Self:
        for name, section in zip(PARTY_NAMES, (self.party_a, self.party_b), strict=True):
            self._check_validation(section.data, f"party_{name}.data.validation")
            self._check_privacy(section.data, f"party_{name}.data")
        return self

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
        if "self_distillation" in self.simulation.controls and not self.training.standalone:
            raise ValueError(
                "simulation.controls: self_distillation learns from the network that was trained alone; "
                "set training.standalone=true or leave it out of the list"
            )
        return self

    def party_section(self, rank: int) -> PartySection:
        return (self.party_a, self.party_b)[rank]

    def party(self, rank: int, output_dir: str) -> PartyConfig:
        """What one party of the simulation is told."""
        section = self.party_section(rank)
        common = {name: getattr(self, name) for name in _Common.model_fields}
        return PartyConfig(
            **common,
            rank=rank,
            model=section.model,
            budget=section.budget,
            samples=section.data,
            partition=self.partition,
            attack=self.attack if self.attack.party == PARTY_NAMES[rank] else AttackConfig(),
            output_dir=output_dir,
        )


class DealerConfig(Section):
    """The dealer between hosts: its own certificate and key, where it listens, and the parties' certificates."""

    certificate: str
    key: str
    listen: str
    party_a: str
    party_b: str
    runs: int | None = Field(default=None, ge=1)
    launch: LaunchConfig = LaunchConfig()


class PublicData(Section):
    """What both parties must know of the data to mean the same by an image and by a class.

    class_names are in order of the class numbers, None where the classes are only numbered. mean and std have one value
    a channel, as they are applied.
    """

    input_shape: tuple[int, int, int]
    num_classes: int
    class_names: tuple[str, ...] | None = None
    mean: tuple[float, ...]
    std: tuple[float, ...]


class ProtocolConfig(Section):
    """The public part: identical at both parties, compared by digest before anything else is sent."""

    protocol_version: int = 2
    scheme: SchemeConfig
    provider: ProviderConfig
    randomness: Randomness
    exchange: ExchangeTerms
    epochs: int
    data: PublicData

    @classmethod
    def from_party(
        cls,
        party: PartyConfig,
        input_shape: tuple[int, int, int],
        num_classes: int,
        class_names: tuple[str, ...] | None,
    ) -> ProtocolConfig:
        """class_names as in PublicData."""
        mean, std = (
            values * input_shape[0] if len(values) == 1 else values for values in (party.data.mean, party.data.std)
        )
        return cls(
            scheme=party.scheme,
            provider=party.provider,
            randomness=party.randomness,
            exchange=party.exchange.terms,
            epochs=party.training.epochs,
            data=PublicData(
                input_shape=input_shape, num_classes=num_classes, class_names=class_names, mean=mean, std=std
            ),
        )

    def digest(self) -> str:
        """SHA-256 of the canonical JSON form, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
