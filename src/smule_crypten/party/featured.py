"""A party's data set as its network sees it: as it was read, or as features that a public map made of it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging

import torch

from smule_crypten.compute.device import resolve_device
from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.config.sections import AugmentationConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.origin import Origin
from smule_crypten.data.samples import DataBundle, Samples, random_positions
from smule_crypten.features.cache import FeatureCache, content_digest
from smule_crypten.features.computing import Featuriser, Say, featuriser, threads
from smule_crypten.features.public_map import build_map
from smule_crypten.report.formatting import human_bytes
from smule_crypten.training.augmentation import augment
from smule_crypten.types import InputShape

log = logging.getLogger(__name__)
_GREY = 0.5
_SOME = 256
"""Samples that tell the range of those that are not in memory."""
_SEED = 20240229
"""Of the crops and flips before the map. Not that of the run: all runs share what was computed."""


def load_bundle(config: PartyConfig | RunConfig, say: Say = log.info) -> DataBundle:
    """The configured data set, and features in place of its samples where there is a public map.

    Args:
        say: hears how far features are.

    Raises:
        ConfigError, DataError: the data cannot be used, or not with this map.
        ModelError: the map cannot be built, or does not fit the samples.
        OutputError: the cache cannot be written.
    """
    return featured(config, load_data(config.data, config.task), say)


def featured(config: PartyConfig | RunConfig, bundle: DataBundle, say: Say) -> DataBundle:
    """As load_bundle, from a data set that is loaded."""
    if not config.features.is_on:
        return bundle
    with threads(config.launch.threads):
        apply = featuriser_of(config, bundle.input_shape, say)
        digests = [content_digest(part.source) for part in (bundle.train, bundle.test)]
        train = _with_copies(config, bundle.train, apply, digests[0])
        test = _with_features(bundle.test, apply(bundle.test.source, "test samples", digests[1]))
    shape, (low, high) = "x".join(map(str, bundle.input_shape)), _range_of(bundle.train)
    note = (
        f"features: {config.features.name}, {apply.map.num_features:,} of {shape}, map {apply.map.digest[:16]}, "
        f"{human_bytes(_num_bytes(train, test))}"
    )
    origin = Origin(
        map_digest=apply.map.digest,
        input_shape=bundle.input_shape,
        dtype=bundle.train.dtype,
        low=low,
        high=high,
        content=hashlib.sha256("\n".join([apply.map.digest, *digests]).encode()).hexdigest(),
        mean_F=apply.mean_F,
        std_F=apply.std_F,
    )
    return dataclasses.replace(bundle, train=train, test=test, notes=(*bundle.notes, note), origin=origin)


def featuriser_of(config: PartyConfig | RunConfig, input_shape: InputShape, say: Say = log.info) -> Featuriser:
    """The configured map at work on inputs of this shape; raises as load_bundle."""
    public_map = build_map(config.features, input_shape)
    return featuriser(public_map, FeatureCache(config.features.cache), resolve_device(config.device), say)


def as_the_network_sees(config: PartyConfig | RunConfig, bundle: DataBundle, inputs_NX: torch.Tensor) -> torch.Tensor:
    """Further inputs, as they were read, as those of bundle came to the network: features, or normalised."""
    if bundle.origin is None:
        return Samples.unlabelled(inputs_NX).normalized(config.data.mean, config.data.std).inputs
    with threads(config.launch.threads):
        return featuriser_of(config, bundle.origin.input_shape)(inputs_NX, "samples asked about")


def _with_copies(config: PartyConfig | RunConfig, train: Samples, apply: Featuriser, digest: str) -> Samples:
    """Features of the samples as they are, and of copies cropped and flipped at random, if any are asked for."""
    plain_NF = apply(train.source, "training samples", digest)
    count, augmentation = config.features.copies, config.training.augmentation
    copies = [plain_NF]
    for number in range(1, count):
        change = functools.partial(
            _cropped,
            grey=_GREY if apply.map.is_of_images else 0.0,
            config=augmentation,
            generator=torch.Generator().manual_seed(_SEED + number),
        )
        copies.append(
            apply(
                train.source,
                f"training samples, copy {number + 1} of {count}",
                f"{digest} crop={augmentation.crop} flip={augmentation.flip} grey copy={number}",
                change=change,
            )
        )
    return _with_features(train, plain_NF, torch.stack(copies, dim=1) if count > 1 else None)


def _with_features(samples: Samples, features_NF: torch.Tensor, copies: torch.Tensor | None = None) -> Samples:
    return Samples(features_NF, samples.targets, samples.sample_ids, copies)


def _range_of(samples: Samples) -> tuple[float, float]:
    """The least and the greatest value; of inputs that are not in memory those that bytes can have, or of some."""
    if not samples.is_in_memory and samples.dtype == torch.uint8:
        return 0.0, 255.0
    some = samples if samples.is_in_memory else samples.select(random_positions(len(samples), _SOME)).in_memory()
    return float(some.inputs.min()), float(some.inputs.max())


def _cropped(
    batch_NX: torch.Tensor, *, grey: float, config: AugmentationConfig, generator: torch.Generator
) -> torch.Tensor:
    """As augment, with a border of this value in place of black, which networks of photographs hardly know."""
    unit_NX = batch_NX.float() / 255 if batch_NX.dtype == torch.uint8 else batch_NX
    return augment(unit_NX - grey, config, generator) + grey


def _num_bytes(*parts: Samples) -> int:
    tensors = [tensor for part in parts for tensor in (part.inputs, part.copies) if tensor is not None]
    return sum(tensor.nbytes for tensor in tensors)
