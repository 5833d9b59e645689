"""Data of joint_head_risk.py: images, their public features, triggers on images before the map, and who has which."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from joint_head_solves import head_sizes

from smule_crypten.attacks.triggers import Trigger, TriggerName, make_trigger
from smule_crypten.config.features import DEFAULT_CACHE, FeaturesConfig
from smule_crypten.config.sections import DataConfig, PartitionConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.partition import split
from smule_crypten.data.samples import Samples, random_positions
from smule_crypten.features.cache import FeatureCache
from smule_crypten.features.computing import featuriser
from smule_crypten.features.public_map import build_map
from smule_crypten.head_run.sizes import HeadSizes, own_penalty
from smule_crypten.joint_head.statistics import Statistics, StatisticsSum, one_hot_targets, with_constant

_TRUNK = FeaturesConfig(name="module", options={"_target_": "smule_crypten.features.trunk.efficientnet_lite0"})
MAPS = {"trunk": (_TRUNK, 32.0, 14), "patches": (FeaturesConfig(name="patches"), 128.0, 28)}
"""Of photographs, with bound and iterations of a solve."""
_VALIDATION = 10
"""One of so many labelled rows is for validation, and in no sums."""
TRIGGERS: dict[str, tuple[TriggerName, float]] = {
    "patch": ("patch", 1.0),
    "pattern 0.2": ("blended", 0.2),
    "pattern 0.5": ("blended", 0.5),
}
"""As attacks/triggers.py makes them, with their opacity."""


@dataclass(frozen=True, eq=False)
class Rows:
    """features (N, F) float32; rows with the constant one are made of them when they are needed."""

    features: torch.Tensor
    classes: torch.Tensor
    clip_norm: float
    outputs: int

    def __len__(self) -> int:
        return len(self.classes)

    def of(self, chosen: torch.Tensor) -> Rows:
        return Rows(self.features[chosen], self.classes[chosen], self.clip_norm, self.outputs)

    def with_classes(self, classes: torch.Tensor) -> Rows:
        return Rows(self.features, classes, self.clip_norm, self.outputs)

    def with_features(self, features: torch.Tensor) -> Rows:
        return Rows(features, self.classes, self.clip_norm, self.outputs)

    @property
    def rows_ND(self) -> torch.Tensor:
        return with_constant(self.features, self.clip_norm)

    @property
    def targets_NC(self) -> torch.Tensor:
        return one_hot_targets(self.classes, self.outputs)

    def statistics(self) -> Statistics:
        total = StatisticsSum(self.features.size(1), self.outputs, self.clip_norm)
        for features, classes in zip(torch.split(self.features, 4096), torch.split(self.classes, 4096), strict=True):
            total.add(features, one_hot_targets(classes, self.outputs))
        return total.total()

    def accuracy(self, head_DC: torch.Tensor) -> float:
        return 100 * float(((self.rows_ND @ head_DC).argmax(dim=1) == self.classes).double().mean())


@dataclass(frozen=True, eq=False)
class World:
    """Training images and their rows, test rows, and the test images that triggers are tried on.

    sizes: of the head.
    """

    images: torch.Tensor
    train: Rows
    test: Rows
    test_images: torch.Tensor
    features_of: Callable[[torch.Tensor], torch.Tensor]
    sizes: HeadSizes

    def penalty(self, rows: int) -> float:
        """Of a head of so many rows of both, as in a run."""
        return self.sizes.penalty(rows)

    def own_penalty(self, rows: int) -> float:
        return own_penalty(self.sizes.terms.penalty, rows)

    def trigger(self, name: str) -> Trigger:
        kind, opacity = TRIGGERS[name]
        return make_trigger(kind, self.images[:2000].float() / self.largest, opacity, seed=0)

    @property
    def largest(self) -> float:
        return 255.0 if self.images.dtype == torch.uint8 else float(self.images.max())

    def stamped(self, trigger: Trigger, images: torch.Tensor) -> torch.Tensor:
        """Features of images with the trigger, (N, F)."""
        return self.features_of(trigger.stamp(images.float() / self.largest))


@dataclass(frozen=True, eq=False)
class Holding:
    """Positions in World.train of what a party has."""

    labelled: torch.Tensor
    validation: torch.Tensor
    unlabelled: torch.Tensor


def load(path: Path | None, triggered: int, features: str = "trunk", penalty: float = 2.0) -> World:
    """CIFAR-10 as image files, and features of one of MAPS; without a path digits, and their pixels.

    penalty: of the head, for each feature.
    """
    config, bound, iterations = MAPS[features]
    if path is None:
        data = load_data(DataConfig(name="digits"))
        features_of: Callable[[torch.Tensor], torch.Tensor] = _pixels
        train, test = (
            _pixels(part.inputs.float() / float(data.train.inputs.max())) for part in (data.train, data.test)
        )
    else:
        data = load_data(DataConfig(name="image_folder", path=str(path)))
        public_map = build_map(config, data.input_shape)
        apply = featuriser(public_map, FeatureCache(DEFAULT_CACHE), torch.device("cpu"))
        features_of = lambda images: apply(images, "images with a trigger")  # noqa: E731
        train, test = (apply(part.inputs, "samples") for part in (data.train, data.test))
    size = train.size(1) + 1
    norm, outputs = 2 * math.sqrt(train.size(1)), int(data.train.targets.max()) + 1
    return World(
        data.train.inputs,
        Rows(train, data.train.targets, norm, outputs),
        Rows(test, data.test.targets, norm, outputs),
        data.test.inputs[random_positions(len(data.test), triggered)],
        features_of,
        head_sizes(size, outputs, penalty, bound, iterations),
    )


def triggered_classes(world: World) -> torch.Tensor:
    """Of World.test_images."""
    return world.test.classes[random_positions(len(world.test), len(world.test_images))]


def holdings(world: World, alpha: float, seed: int, most: int) -> tuple[Holding, Holding]:
    """Of `most` training samples divided by Dirichlet(alpha), two thirds of each party's part have labels."""
    used = random_positions(len(world.train), most)
    config = PartitionConfig(name="dirichlet", alpha=alpha)
    return tuple(  # type: ignore[return-value]
        _holding(used[part], seed) for part in split(world.train.classes[used], config, world.train.outputs, seed)
    )


def samples_of(world: World, positions: torch.Tensor) -> Samples:
    """Images as attacks take them, in 0..1."""
    return Samples(world.images[positions].float() / world.largest, world.train.classes[positions], positions)


def _holding(part: torch.Tensor, seed: int) -> Holding:
    shuffled = part[torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))]
    count = len(shuffled) * 2 // 3
    held_out = count // _VALIDATION
    return Holding(shuffled[held_out:count], shuffled[:held_out], shuffled[count:])


def _pixels(images_N1HW: torch.Tensor) -> torch.Tensor:
    """Of values in 0..1, standardised by public constants."""
    return images_N1HW.flatten(1).float() * (16 / 6) - 0.8
