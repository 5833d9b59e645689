"""The sections of the configuration as frozen, validated models. config/run.py puts them together.

Defaults and meanings of all keys stand here, in the other *_config.py files and in the options of each kind, and
nowhere else: the files in conf/ hold what differs, --help and docs/keys.md are read from the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Randomness = Literal["fresh", "seeded_insecure"]
ProviderName = Literal["dealer", "trusted_first_party"]

MAX_PRECISION_BITS = 24
_BITS, _BITS_OF_SHORT_RINGS = 16, 14
"""Fractional bits where none are asked for: lean's ring of 32 bits has no room for more."""
MAX_SEED = (1 << 32) - 1
"""Seeds of parties and streams follow from it; none of them may exceed what generators take."""
_MAX_EPOCHS = 1_000_000
_MAX_THREADS = 1024

RARE: dict[str, Any] = {"rare": True}
"""Marks a key that few users set; it is behind --help-all."""


class Section(BaseModel):
    """Base of every part of the configuration: immutable, unknown keys refused, no silent conversion.

    The docstring of a key is its meaning as users read it.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class DataConfig(Section):
    """Which data set, and where it lies."""

    name: str
    """Which kind of data."""
    path: str | None = None
    """The file or folder that holds the data; relative to the file of a side, else to the current folder."""
    target: str | Annotated[tuple[str, ...], Field(strict=False)] | None = None
    """Of a table: the column to predict, or a list of them; null takes those of its schema."""
    download: bool = False
    """Let torchvision fetch the files where the path lacks them; only of data sets that it can fetch."""
    mean: tuple[float, ...] = Field(default=(0.0,), strict=False)
    """Public constants of the normalization, one or one a channel (of vectors one a feature): mean is taken off, std
    divided by. uint8 inputs are scaled to [0, 1] before, floats are not. They have no part where a public map makes
    features."""
    std: tuple[float, ...] = Field(default=(1.0,), strict=False)
    """See data.mean; positive."""
    target_mean: tuple[float, ...] = Field(default=(0.0,), strict=False, json_schema_extra=RARE)
    """With task=regression: public constants of the targets, one or one a target, in their own units; a table has them
    in its schema. The network learns (target - target_mean) / target_std; predictions and metrics are in the targets'
    units."""
    target_std: tuple[float, ...] = Field(default=(1.0,), strict=False, json_schema_extra=RARE)
    """See data.target_mean; positive."""
    max_train: int | None = Field(default=None, ge=1)
    """Use so many training samples, drawn at random, always the same; null uses all."""
    max_test: int | None = Field(default=None, ge=1)
    """Use so many test samples, likewise."""
    in_memory: bool | None = Field(default=None, json_schema_extra=RARE)
    """Whether all inputs are held in memory; false reads them as they are needed, from image files, a folder of .npy
    files or, of a table, a temporary file. Null does so where a split has more than 2 GB of them as float32."""
    workers: int = Field(default=0, ge=0, le=_MAX_THREADS, json_schema_extra=RARE)
    """Processes that decode image files ahead of the training, where inputs are not held in memory; 0 decodes in the
    process that trains."""
    options: dict[str, Any] = {}
    """Options of this kind of data."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict that were named."""
        return (self.target,) if isinstance(self.target, str) else self.target or ()

    @model_validator(mode="after")
    def _std_is_positive(self) -> DataConfig:
        for name, values in (("std", self.std), ("target_std", self.target_std)):
            if any(value <= 0 for value in values):
                raise ValueError(f"{name} must be positive, got {values}")
        return self


class PartitionConfig(Section):
    """How a simulation splits one data set between the parties."""

    name: Literal["iid", "dirichlet", "by_class", "unequal"] = "dirichlet"
    """How the training samples are divided: at random (iid), each class in random proportions (dirichlet), whole
    classes (by_class), or at random in parts of different size (unequal)."""
    fraction_a: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Party a's expected share of all samples; not with by_class."""
    alpha: float = Field(default=0.5, gt=0.0)
    """With dirichlet: small values give each class to one party, large ones come close to iid."""
    classes_a: tuple[int, ...] = Field(default=(), strict=False)
    """With by_class: the labels that party a holds; party b holds the others."""

    @model_validator(mode="after")
    def _classes_belong_to_by_class(self) -> PartitionConfig:
        if self.name == "by_class" and not self.classes_a:
            raise ValueError("by_class needs classes_a, the labels that party a holds, for example [0,1,2,3,4]")
        return self


class ModelConfig(Section):
    """A network of the zoo by name, with its own options; `name: target` builds any importable callable."""

    name: str
    """Which network."""
    options: dict[str, Any] = {}
    """Options of this network."""


class SchemeConfig(Section):
    """A secure-inference scheme of the registry, with its own options."""

    name: str = "two_party"
    """Which scheme: two_party (the two parties alone), lean (with a dealer, one masked input per layer), crypten (with
    a dealer, CrypTen's protocols), or plaintext, which gives no protection."""
    precision_bits: int = Field(
        default=None, ge=4, le=MAX_PRECISION_BITS, validate_default=True, json_schema_extra=RARE
    )
    """Fractional bits of fixed point; with two_party and lean those that a rounding drops. Null stands for 14 with
    these two and for 16 else."""
    micro_batch: int = Field(default=64, ge=1, le=65536, json_schema_extra=RARE)
    """Samples evaluated together; bounds memory."""
    max_elements: int = Field(default=1 << 26, ge=1, le=1 << 36, json_schema_extra=RARE)
    """The most that a network may have in weights and in values of one micro-batch together; bounds what a peer's
    network can cost in memory."""
    options: dict[str, Any] = Field(default={}, json_schema_extra=RARE)
    """Options of this scheme."""

    @model_validator(mode="before")
    @classmethod
    def _bits_of_the_scheme(cls, values: Any) -> Any:
        """Null is written out, since both parties compare what they mean."""
        if isinstance(values, Mapping) and values.get("precision_bits") is None:
            name = values.get("name", cls.model_fields["name"].default)
            return {**values, "precision_bits": _BITS_OF_SHORT_RINGS if name in ("lean", "two_party") else _BITS}
        return values


class ProviderConfig(Section):
    name: ProviderName | None = None
    """Who deals correlated randomness where the scheme needs it dealt: a third process that sees no data (dealer, for
    which null stands), or party a, which gives no protection (trusted_first_party). Refused with other schemes."""


class OptimizerConfig(Section):
    name: Literal["sgd", "adamw"] = "sgd"
    """sgd has Nesterov momentum."""
    learning_rate: float = Field(default=0.1, gt=0.0)
    """Size of a step, the peak of the schedule."""
    weight_decay: float = Field(default=5e-4, ge=0.0, json_schema_extra=RARE)
    """How strongly weights are pulled to zero."""
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0, json_schema_extra=RARE)
    """Share of the last step that goes on; sgd only."""
    schedule: Literal["one_cycle", "cosine", "constant"] = Field(default="one_cycle", json_schema_extra=RARE)
    """How the learning rate changes."""
    gradient_clip: float | None = Field(default=5.0, gt=0.0, json_schema_extra=RARE)
    """Largest norm of a gradient; null for none."""


class AugmentationConfig(Section):
    crop: int = Field(default=0, ge=0)
    """Zero padding in pixels before a random crop back to size."""
    flip: bool = False
    """Flip horizontally with probability 1/2."""


class DpConfig(Section):
    """Differentially private training (training/private_trainer.py)."""

    target_epsilon: float = Field(gt=0.0)
    """Train with differential privacy, with this epsilon for all training of a party in a run, alone and with its peer.
    training=private sets what else is needed."""
    delta: float = Field(default=1e-5, gt=0.0, lt=1.0)
    """Probability with which the bound may fail; less than one in the number of samples."""
    max_gradient_norm: float = Field(default=1.0, gt=0.0, json_schema_extra=RARE)
    """To which the gradient of each sample is shortened; optimizer.gradient_clip has no part in it."""


TeacherName = Literal["peer", "ensemble"]
TrustName = Literal["none", "adaptive"]
KeepName = Literal["best", "last"]
AlarmName = Literal["off", "report", "quarantine"]
ClassWeightsName = Literal["none", "balanced"]


class TrainingConfig(Section):
    """Mutual learning: the loss of the task + distillation_weight * distillation loss of the peer's soft labels.

    Frozen; all keys have defaults, docs/keys.md lists them under `training`.

    Raises:
        pydantic.ValidationError: a key is unknown, of the wrong type or impossible; `configure` says it in one line.

    Example:
        >>> import smule_crypten as smule
        >>> smule.TrainingConfig(epochs=2, batch_size=16).temperature
        2.0
    """

    epochs: int = Field(default=30, ge=1, le=_MAX_EPOCHS)
    """Epochs of each training: alone, and with the peer. Both parties agree on it."""
    steps_per_epoch: int | None = Field(default=None, ge=1, json_schema_extra=RARE)
    """Batches of an epoch; null for one pass over the party's samples. The same number makes parties train alike."""
    batch_size: int = Field(default=32, ge=1)
    """Labelled samples of a step."""
    temperature: float = Field(default=2.0, gt=0.0)
    """Softens both sides of the distillation term; without effect in regression."""
    distillation_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the soft labels beside the true labels."""
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the uniform distribution in the true labels; with task=multilabel, of 1/2 in each."""
    balanced_softmax: bool | None = Field(default=None, json_schema_extra=RARE)
    """Learn as if all classes were equally frequent, as where a party lacks classes that occur where its network is
    used. Null for yes in a simulation with partition=dirichlet or by_class, no elsewhere."""
    class_weights: ClassWeightsName = "none"
    """Weight rare classes up (balanced): each counts by the inverse of how often it occurs among the party's labels;
    with task=multilabel, so do the samples that have a label beside those that lack it."""
    optimizer: OptimizerConfig = OptimizerConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    pool_batch: int = Field(default=64, ge=1, json_schema_extra=RARE)
    """Samples of the unlabelled pool (samples.unlabeled) that join each batch, for their soft labels."""
    teacher: TeacherName = "ensemble"
    """What teaches: the peer's answers alone, or their mean with those of the party's network trained alone, as fitted
    on its validation part."""
    self_mutual: bool = Field(default=False, json_schema_extra=RARE)
    """Train a copy of the network beside it; both teach each other. Takes twice the time."""
    trust: TrustName = "adaptive"
    """How the peer's answers are weighted: all alike (none), or by a look a step ahead on the validation part."""
    keep: KeepName = "best"
    """Which network a party keeps: the best one on its validation part (the last that is not clearly worse), or the
    last. What a joint head has taught is kept as it is last: own held-out samples cannot judge what they lack."""
    alarm: AlarmName = "report"
    """When the peer's answers on known labels are not an honest network's: report it, or quarantine, which drops them,
    goes back to a network that has not learned from them, and takes no joint head worse than its own."""
    standalone: bool = True
    """Also train the same network without a peer: for comparison, as a teacher and to answer the peer at first."""
    dp: DpConfig | None = None

    @property
    def is_balanced(self) -> bool:
        return bool(self.balanced_softmax)

    @property
    def needs_validation(self) -> str | None:
        """The setting that only works with a validation part, as the user would write it."""
        if self.trust == "adaptive":
            return "training.trust=adaptive"
        if self.keep == "best":
            return "training.keep=best"
        return None if self.dp is None else "training.dp"


class LaunchConfig(Section):
    threads: int = Field(default=1, ge=1, le=_MAX_THREADS)
    """PyTorch threads of a process."""
    deadline_seconds: float = Field(default=30.0, gt=0.0, json_schema_extra=RARE)
    """Longest silence of another process; it sends heartbeats while it computes."""
    join_seconds: float = Field(default=60.0, gt=0.0, json_schema_extra=RARE)
    """Longest wait for all processes to come."""
    log_level: Literal["debug", "info", "warning"] = Field(default="info", json_schema_extra=RARE)
    """What a process between hosts writes to its log. No level shows shares, keys or data."""
    accept_restart: bool = Field(default=False, json_schema_extra=RARE)
    """A party that goes on: begin again where the other one is, also more than one exchange behind."""


class AttackConfig(Section):
    """What a simulated adversary does (attacks/)."""

    name: Literal["none", "label_flip", "backdoor", "answers", "trigger_answers"] = "none"
    """Which attack a simulated adversary tries."""
    party: Literal["a", "b"] = "b"
    """Which party is the adversary."""
    options: dict[str, Any] = Field(default={}, json_schema_extra=RARE)
    """Options of this attack."""
