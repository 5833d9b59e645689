"""The head's rows: features of a party's samples as the head sees them, and what they are to say.

Its features are those of the run, where the run has a public map and the head none of its own; a map of its own is
applied to the inputs as they were before they were normalised; without any map the normalised inputs are the features.

Shape legend: N samples, F features, D = F + 1 with the constant one (statistics.with_constant), C outputs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import torch

from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.features.cache import FeatureCache
from smule_crypten.features.computing import Featuriser, Say, featuriser, threads
from smule_crypten.features.public_map import build_map
from smule_crypten.joint_head.statistics import (
    Statistics,
    StatisticsSum,
    label_targets,
    one_hot_targets,
    ranged_targets,
    with_constant,
)
from smule_crypten.metric_names import TaskName

log = logging.getLogger(__name__)
CPU = torch.device("cpu")
_CLIP = 2.0
"""Times the norm of a row of standardised features: hardly any is longer."""
REGRESSION_RANGE = 4.0
"""Regression targets beyond so many public standard deviations count as that many."""
_BATCH = 4096
_ROUNDING = 1e-4


def clip_norm(num_features: int) -> float:
    """The public norm that rows of F features are clipped to."""
    return _CLIP * math.sqrt(num_features)


class HeadFeatures:
    """What makes the head's features of a party's samples.

    Attributes:
        num_features: F.
        map_digest: of the head's own map, which both parties compare; None where it takes the run's features or inputs.

    Args:
        config: of a run or a party.
        bundle: the data set as the networks see it.
        device: where the map is applied.
        say: hears how far features are.

    Raises:
        ConfigError: both the run and the head have a map; or the map cannot be built.
        ModelError: the map does not fit the samples.
        OutputError: its cache cannot be written.
    """

    def __init__(
        self, config: RunConfig | PartyConfig, bundle: DataBundle, device: torch.device = CPU, say: Say = log.info
    ) -> None:
        self._config, self._bundle = config, bundle
        self._apply: Featuriser | None = None
        self.num_features = math.prod(bundle.input_shape)
        self.map_digest: str | None = None
        own = config.joint_head.features
        if not own.is_on:
            return
        if bundle.origin is not None:
            raise ConfigError(
                f"joint_head.features={own.name}: the networks see features={config.features.name}, of which the head "
                "makes no others; leave joint_head.features out, or set features=none"
            )
        with threads(config.launch.threads):
            public_map = build_map(own, bundle.input_shape)
            self._apply = featuriser(public_map, FeatureCache(own.cache), device, say)
        self.num_features, self.map_digest = public_map.num_features, public_map.digest

    @property
    def clip_norm(self) -> float:
        return clip_norm(self.num_features)

    def of(self, samples: Samples, what: str = "samples") -> torch.Tensor:
        """(N, F) float32, from samples as the networks see them; what: as errors and progress call them.

        Raises:
            DataError: inputs are no images of values 0 to 1 where the map takes such.
        """
        blocks = list(self.blocks(samples, what))
        return torch.cat(blocks) if len(blocks) != 1 else blocks[0]

    def blocks(self, samples: Samples, what: str = "samples") -> Iterator[torch.Tensor]:
        """As of, all at once, or block after block where the inputs are not in memory."""
        if len(samples) == 0:
            yield torch.zeros(0, self.num_features)
        elif samples.is_in_memory:
            yield self._features_of(samples, what)
        else:
            for positions in torch.split(torch.arange(len(samples)), _BATCH):
                yield self._features_of(samples.select(positions), what)

    def _features_of(self, samples: Samples, what: str) -> torch.Tensor:
        if self._apply is None:
            return samples.in_memory().inputs.reshape(len(samples), -1)
        source = samples.source
        raw = self._as_they_were(source, what) if isinstance(source, torch.Tensor) else source.as_stored()
        with threads(self._config.launch.threads):
            return self._apply(raw, f"{what} for the joint head")

    def rows_of(self, samples: Samples, what: str = "samples") -> torch.Tensor:
        """(N, D) float64: clipped, with the constant feature."""
        return with_constant(self.of(samples, what), self.clip_norm)

    def _as_they_were(self, inputs_NX: torch.Tensor, what: str) -> torch.Tensor:
        """Before they were normalised; whole numbers where the data set has such, so that the cache knows them."""
        data, axes = self._config.data, [1] * (inputs_NX.dim() - 2)
        mean, std = (torch.tensor(values).view(1, -1, *axes) for values in (data.mean, data.std))
        raw_NX = inputs_NX * std + mean
        if self._apply is None or not self._apply.map.is_of_images:
            return raw_NX
        low, high = float(raw_NX.min()), float(raw_NX.max())
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise DataError(
                f"{what} hold values of {low:g} to {high:g}; joint_head.features={self._apply.map.name} takes images "
                "as uint8 or with values of 0 to 1: save them so"
            )
        raw_NX = raw_NX.clamp_(0, 1)
        if self._bundle.train.dtype == torch.uint8:
            return (raw_NX * 255).round().to(torch.uint8)
        return raw_NX


def head_rows(config: RunConfig | PartyConfig, bundle: DataBundle, samples: Samples) -> torch.Tensor:
    """(N, F) float32: features of the head, as HeadFeatures makes them; raises as that."""
    return HeadFeatures(config, bundle).of(samples)


def head_targets(task: TaskName, targets: torch.Tensor, num_outputs: int) -> torch.Tensor:
    """(N, C) float64, small numbers around zero by public rules, from the targets of samples as a party learns them."""
    match task:
        case "classification":
            return one_hot_targets(targets, num_outputs)
        case "multilabel":
            return label_targets(targets)
        case "regression":
            return ranged_targets(targets, -REGRESSION_RANGE, REGRESSION_RANGE)


def own_statistics(
    features: HeadFeatures, task: TaskName, train: Samples, num_outputs: int, what: str = "training samples"
) -> Statistics:
    """Of a party's labelled training rows. Its validation part stays out, since the head is judged by it.

    Raises:
        DataError: a number is not finite; as HeadFeatures.of.
    """
    total = StatisticsSum(features.num_features, num_outputs, features.clip_norm)
    targets_NC = head_targets(task, train.targets, num_outputs)
    rows = (
        some_NF for block in features.blocks(train.without_copies(), what) for some_NF in torch.split(block, _BATCH)
    )
    for some_NF, some_NC in zip(rows, torch.split(targets_NC, _BATCH), strict=True):
        total.add(some_NF, some_NC)
    return total.total()
