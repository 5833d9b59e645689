"""The sections of the configuration as frozen, validated models. config/run.py puts them together."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from smule_crypten.errors import ConfigError, printable, quoted

Randomness = Literal["fresh", "seeded_insecure"]
ProviderName = Literal["dealer", "trusted_first_party"]

MAX_PRECISION_BITS = 24
MAX_SEED = (1 << 32) - 1
"""Seeds of parties and streams follow from it; none of them may exceed what generators take."""
_MAX_EPOCHS = 1_000_000
_MAX_THREADS = 1024

_LONGEST_KEY = 100
_FINGERPRINT = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){31}")


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


class SchemeConfig(Section):
    """A secure-inference scheme of the registry, with its own options. precision_bits are the fractional bits of fixed
    point; micro_batch samples are evaluated together. max_elements: of a network's weights and all its values for one
    micro-batch, together; it bounds what a peer's network can cost in memory (models/extent.py)."""

    name: str
    precision_bits: int = Field(default=16, ge=4, le=MAX_PRECISION_BITS)
    micro_batch: int = Field(default=64, ge=1, le=65536)
    max_elements: int = Field(default=1 << 26, ge=1, le=1 << 36)
    options: dict[str, Any] = {}


class ProviderConfig(Section):
    """dealer: a third process deals and sees no data. trusted_first_party: party a deals; protects nothing."""

    name: ProviderName


class BudgetConfig(Section):
    """How many answers a party's network gives; null for as many as the plan of the run asks for.

    A count of queries, not a privacy guarantee. Second answers and repeated attempts count.

    repeats: how many exchanges of a run may be attempted again after they were cut off.
    ledger: the file that the total is counted by, kept over many runs; null for one in the output folder.
    former_fingerprints: of certificates that the peer had before; what was answered to their owner counts.
    logit_noise: standard deviation of normal noise that the owner of the network adds to its share of each logit.
    """

    max_queries_total: int | None = Field(default=None, ge=0)
    max_queries_per_exchange: int | None = Field(default=None, ge=0)
    repeats: int = Field(default=2, ge=0)
    ledger: str | None = None
    former_fingerprints: tuple[str, ...] = Field(default=(), strict=False)
    logit_noise: float = Field(default=0.0, ge=0.0)

    @model_validator(mode="after")
    def _fingerprints_can_match(self) -> BudgetConfig:
        for text in self.former_fingerprints:
            if not _FINGERPRINT.fullmatch(text):
                raise ValueError(f"former_fingerprints: {text!r} is none; copy it from the ledger or smule-keys show")
        return self


class SamplesConfig(Section):
    """How a party uses its own training samples.

    labeled of them keep their labels (null: all that are not unlabeled); unlabeled more form a pool whose labels
    nobody looks at, and which the peer can be asked about. validation is the share of the labelled ones that is held
    out, to judge the peer and the own network by.
    """

    labeled: int | None = Field(default=None, ge=1)
    unlabeled: int = Field(default=0, ge=0)
    validation: float = Field(default=0.1, ge=0.0, le=0.5)


class PartySection(Section):
    """What may differ between the parties in a simulation."""

    model: ModelConfig
    budget: BudgetConfig = BudgetConfig()
    data: SamplesConfig = SamplesConfig()


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


class DpConfig(Section):
    """Differentially private training (training/private_trainer.py).

    target_epsilon, delta: of all training of the party in a run; the noise follows from them. max_gradient_norm: to
    which the gradient of each sample is shortened.
    """

    target_epsilon: float = Field(gt=0.0)
    delta: float = Field(default=1e-5, gt=0.0, lt=1.0)
    max_gradient_norm: float = Field(default=1.0, gt=0.0)


TeacherName = Literal["peer", "ensemble"]
TrustName = Literal["none", "argmax_gate", "accuracy", "class_wise", "adaptive"]
KeepName = Literal["best", "last"]
AlarmName = Literal["off", "report", "quarantine"]


class TrainingConfig(Section):
    """Mutual learning: cross entropy + distillation_weight * temperature^2 * KL(peer || own).

    steps_per_epoch: batches of an epoch; null for one pass over the own samples. Parties of different size train alike
    with the same number. weight_schedule: of the distillation weight. final_temperature: where the temperature ends
    (training/schedules.py). balanced_softmax: learn as if all classes were equally frequent. pool_batch: samples of the
    unlabelled pool that join each batch, and as many views. teacher: the peer's answers alone, or averaged with those
    of the own network that was trained alone (training/ensemble.py). unasked_share: of a pool batch, samples of which
    only that network speaks. staleness_half_life: after how many of the peer's steps an old answer counts half.
    self_mutual: a copy of the network trains beside it, and they teach each other. trust: how the peer's answers are
    weighted (training/trust.py). keep: the network of the best epoch on the validation part, or of the last epoch.
    alarm: what follows when the peer's answers on known labels are not those of an honest network (training/alarm.py).
    dp: train with differential privacy; null for without.
    """

    epochs: int = Field(default=10, ge=1, le=_MAX_EPOCHS)
    steps_per_epoch: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=128, ge=1)
    temperature: float = Field(default=2.0, gt=0.0)
    final_temperature: float | None = Field(default=None, gt=0.0)
    distillation_weight: float = Field(default=1.0, ge=0.0)
    weight_schedule: Literal["constant", "rising", "falling"] = "constant"
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    balanced_softmax: bool = False
    optimizer: OptimizerConfig = OptimizerConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    pool_batch: int = Field(default=64, ge=1)
    teacher: TeacherName = "ensemble"
    unasked_share: float = Field(default=0.3, ge=0.0, le=1.0)
    staleness_half_life: int | None = Field(default=None, ge=1)
    self_mutual: bool = False
    trust: TrustName = "none"
    keep: KeepName = "last"
    alarm: AlarmName = "report"
    standalone: bool = True
    dp: DpConfig | None = None

    @property
    def needs_validation(self) -> str | None:
        """The setting that only works with a validation part, as the user would write it."""
        if self.trust == "adaptive":
            return "training.trust=adaptive"
        if self.keep == "best":
            return "training.keep=best"
        return None if self.dp is None else "training.dp"


class LaunchConfig(Section):
    """threads: PyTorch threads a process. deadline_seconds: longest silence of another process, which is not the
    same as longest computation. join_seconds: longest wait for all processes to come. log_level: of a process
    between hosts. accept_restart: of a party that goes on: begin again from where the other one is, also where that is
    more than one exchange behind."""

    threads: int = Field(default=1, ge=1, le=_MAX_THREADS)
    deadline_seconds: float = Field(default=30.0, gt=0.0)
    join_seconds: float = Field(default=60.0, gt=0.0)
    log_level: Literal["debug", "info", "warning"] = "info"
    accept_restart: bool = False


class PredictConfig(Section):
    """What a trained party does with its network (smule-predict, smule-estimate).

    validation_queries: the most samples of the own validation part that the peer is asked about, to judge and weigh its
    answers. checkpoint: the own network; null for the one that the run left in the output folder.
    """

    validation_queries: int = Field(default=200, ge=0)
    checkpoint: str | None = None


class AttackConfig(Section):
    """What a simulated adversary does (attacks/), with options of its own. party: which one is the adversary."""

    name: Literal["none", "label_flip", "backdoor", "answers", "trigger_answers"] = "none"
    party: Literal["a", "b"] = "b"
    options: dict[str, Any] = {}


ControlName = Literal["label_smoothing", "self_mutual", "self_distillation"]


class SimulationConfig(Section):
    """What a run between hosts has no use for: reference on pooled data, fidelity check, and the local controls, which
    show what each party could reach without the other one (training/controls.py)."""

    pooled: bool = True
    fidelity: bool = True
    controls: tuple[ControlName, ...] = Field(
        default=("label_smoothing", "self_mutual", "self_distillation"), strict=False
    )

    @model_validator(mode="after")
    def _controls_differ(self) -> SimulationConfig:
        if len(set(self.controls)) < len(self.controls):
            raise ValueError(f"controls: each at most once, got {', '.join(self.controls)}")
        return self


SectionT = TypeVar("SectionT", bound=Section)


def parse(kind: type[SectionT], values: Mapping[str, Any], where: Callable[[str], str] = lambda key: "") -> SectionT:
    """Validate plain values (no omegaconf types).

    Args:
        where: the place at which a key in dotted form was written, to stand before what is wrong with it.

    Raises:
        ConfigError: one line that names the key, what is wrong with it and what is valid.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe_validation(error, where=where, known=known_keys(kind))) from None


def known_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """All keys of a section in dotted form, those of the sections in it with them."""
    keys = []
    for name, field in section.model_fields.items():
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        sections = [kind for kind in inner if issubclass(kind, BaseModel)]
        keys += [f"{prefix}{name}", *(known_keys(sections[0], f"{prefix}{name}.") if sections else ())]
    return keys


def suggest(wrong: str, known: list[str]) -> str:
    """' (did you mean x? known: ...)' for an unknown name."""
    close = difflib.get_close_matches(wrong, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"({hint}known: {', '.join(sorted(known))})"


def describe_validation(
    error: ValidationError,
    prefix: str = "",
    most: int | None = None,
    where: Callable[[str], str] = lambda key: "",
    known: Sequence[str] = (),
) -> str:
    """One line that names each bad key (below prefix; the first `most` of them), what is wrong and the value.

    where: see parse. known: the keys that there are; the nearest one is named for an unknown key.
    """
    problems = []
    for item in error.errors(include_url=False)[:most]:
        key = ".".join([prefix, *map(_key, item["loc"])]).lstrip(".")
        message = printable(item["msg"].removeprefix("Value error, "))
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(key, known, n=1)
            message = f"unknown key; did you mean {close[0]}?" if close else "unknown key"
        elif item["type"] == "missing":
            message = "must be given"
        elif item["type"] != "value_error":
            message = f"{message}, got {quoted(item['input'])}"
        problems.append(f"{where(key)}{key}: {message}" if key else message)
    return "; ".join(problems)


def _key(part: str | int) -> str:
    """A part of the way to a value; another process may have chosen it."""
    return str(part) if len(str(part)) <= _LONGEST_KEY and str(part).isprintable() else quoted(part)
