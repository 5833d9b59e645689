"""The settings of the learning benchmark: who holds what, and how both train.

Counts are samples of a party. A setting with a Dirichlet split gives each party what the split gives it: two thirds of
that with labels and one third as its unlabelled pool, unless unlabeled is 0.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from smule_crypten.config.sections import ModelConfig, PartitionConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.data.partition import split

VALIDATION = 0.1
_POOL_SHARE = 3
"""One of so many samples of a Dirichlet split goes to the pool."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """labeled and unlabeled are those of party a and party b. dirichlet: concentration, None for IID. share_a: of the
    queries."""

    name: str
    labeled: tuple[int, int]
    unlabeled: tuple[int, int] = (0, 0)
    dirichlet: float | None = None
    share_a: float = 0.5
    epochs: int = 20
    steps_per_epoch: int = 156
    batch_size: int = 128
    augmented: bool = True
    balanced_softmax: bool = False
    models: tuple[str, str] = ("small_convnet", "small_convnet")
    both_measured: bool = False

    @property
    def ranks(self) -> tuple[int, ...]:
        """The parties that are measured: one speaks for both where they are alike, or where only one asks."""
        return (0, 1) if self.both_measured else (0,)

    def model(self, rank: int) -> ModelConfig:
        return ModelConfig(name=self.models[rank])


SETTINGS = (
    Setting(name="few labels", labeled=(2_000, 20_000), unlabeled=(10_000, 0), share_a=1.0),
    Setting(name="very few labels", labeled=(500, 20_000), unlabeled=(10_000, 0), share_a=1.0),
    Setting(name="few labels at both", labeled=(2_000, 2_000), unlabeled=(10_000, 10_000)),
    Setting(name="5,000 labels at both", labeled=(5_000, 5_000), unlabeled=(10_000, 10_000)),
    Setting(name="10,000 labels at both", labeled=(10_000, 10_000), unlabeled=(10_000, 10_000)),
    Setting(
        name="Dirichlet 0.5",
        labeled=(10_000, 10_000),
        unlabeled=(5_000, 5_000),
        dirichlet=0.5,
        steps_per_epoch=79,
        augmented=False,
        balanced_softmax=True,
        both_measured=True,
    ),
    Setting(
        name="Dirichlet 0.1",
        labeled=(10_000, 10_000),
        unlabeled=(5_000, 5_000),
        dirichlet=0.1,
        steps_per_epoch=79,
        augmented=False,
        balanced_softmax=True,
        both_measured=True,
    ),
    Setting(name="IID", labeled=(25_000, 25_000), epochs=16, steps_per_epoch=196, augmented=False),
    Setting(name="IID, augmented", labeled=(25_000, 25_000), epochs=16, steps_per_epoch=196),
    Setting(
        name="small with wide",
        labeled=(10_000, 10_000),
        steps_per_epoch=79,
        augmented=False,
        models=("small_convnet", "wide_convnet"),
        both_measured=True,
    ),
    Setting(
        name="small with resnet8",
        labeled=(10_000, 10_000),
        steps_per_epoch=79,
        augmented=False,
        models=("small_convnet", "resnet8"),
        both_measured=True,
    ),
)


def scaled(setting: Setting, factor: float) -> Setting:
    """The same with fewer samples, for data sets and tests that are smaller."""
    labeled, unlabeled = (
        tuple(round(count * factor) for count in counts) for counts in (setting.labeled, setting.unlabeled)
    )
    return dataclasses.replace(setting, labeled=labeled, unlabeled=unlabeled)


@dataclass(frozen=True, eq=False)
class Holding:
    """What one party has. pool has no labels."""

    train: LabelledImages
    validation: LabelledImages
    pool: LabelledImages

    def without_pool(self) -> Holding:
        return dataclasses.replace(self, pool=self.pool.select(torch.arange(0)))


def divide(setting: Setting, train: LabelledImages, num_classes: int, seed: int) -> tuple[Holding, Holding]:
    """Draw what each party holds; the same for the same seed.

    Raises:
        ValueError: train has too few samples.
    """
    generator = torch.Generator().manual_seed(1000 + seed)
    order = torch.randperm(len(train), generator=generator)
    needed = sum(setting.labeled) + sum(setting.unlabeled)
    if needed > len(train):
        raise ValueError(f"{setting.name}: {needed} samples are needed, the data set has {len(train)}")
    drawn = train.select(order[:needed])
    if setting.dirichlet is None:
        parts = _by_counts(setting)
    else:
        partition = PartitionConfig(name="dirichlet", alpha=setting.dirichlet)
        parts = tuple(
            held[torch.randperm(len(held), generator=generator)]
            for held in split(drawn.labels_N, partition, num_classes, seed)
        )
    holdings = [_holding(drawn.select(part), setting, rank) for rank, part in enumerate(parts)]
    return holdings[0], holdings[1]


def _by_counts(setting: Setting) -> tuple[torch.Tensor, ...]:
    sizes = [labeled + unlabeled for labeled, unlabeled in zip(setting.labeled, setting.unlabeled, strict=True)]
    return torch.arange(sum(sizes)).split(sizes)


def _holding(held: LabelledImages, setting: Setting, rank: int) -> Holding:
    num_pool = setting.unlabeled[rank]
    if setting.dirichlet is not None and num_pool:
        num_pool = len(held) // _POOL_SHARE
    positions = torch.arange(len(held))
    pool, labelled = held.select(positions[:num_pool]), held.select(positions[num_pool:])
    num_validation = round(VALIDATION * len(labelled))
    positions = torch.arange(len(labelled))
    return Holding(
        train=labelled.select(positions[num_validation:]),
        validation=labelled.select(positions[:num_validation]),
        pool=pool.without_labels(),
    )
