"""The samples of public questions: read as other data, made fit for the networks, and their digest."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from pathlib import Path

import numpy as np
import torch

from smule_crypten.config.protocol import PublicQuestionTerms
from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.samples import DataBundle, PublicPool, Samples, random_positions
from smule_crypten.data.targets import unknown_like
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.features.computing import Say
from smule_crypten.party.featured import as_the_network_sees, load_bundle
from smule_crypten.party.further_inputs import read_further

log = logging.getLogger(__name__)
FIRST_ID = 1 << 62
"""Of the ids of public samples; those of own samples are positions in a data set."""


def load_bundle_and_pool(config: PartyConfig | RunConfig, say: Say = log.info) -> DataBundle:
    """As load_bundle, with the samples of public questions where there are some.

    Raises:
        SmuleError: as load_bundle and load_public_pool.
    """
    bundle = load_bundle(config, say)
    pool = load_public_pool(config, bundle, say)
    if pool is None:
        return bundle
    return dataclasses.replace(bundle, public_pool=pool, notes=(*bundle.notes, *_doubts(config, bundle, pool)))


def load_public_pool(config: PartyConfig | RunConfig, bundle: DataBundle, say: Say = log.info) -> PublicPool | None:
    """The samples without labels, of a set the training samples; None where there is none.

    Args:
        bundle: the party's own data, as its network sees them.
        say: hears what is read.

    Raises:
        ConfigError, DataError: the set cannot be read, or its samples are not like the party's own.
    """
    if not config.public_pool.is_on:
        return None
    try:
        raw_NX = _unlabelled(config, bundle, say) if config.public_pool.unlabelled else _of_a_set(config, bundle)
    except (ConfigError, DataError) as error:
        raise type(error)(f"public_pool: {error}") from error
    say(f"public pool: {len(raw_NX):,} samples")
    inputs_NX = as_the_network_sees(config, bundle, raw_NX)
    count = len(inputs_NX)
    targets_N = unknown_like(bundle.train.targets[:1]).repeat(count, *[1] * (bundle.train.targets.dim() - 1))
    samples = Samples(inputs_NX, targets_N, FIRST_ID + torch.arange(count))
    return PublicPool(samples, _digest(config, bundle, raw_NX))


def _unlabelled(config: PartyConfig | RunConfig, bundle: DataBundle, say: Say) -> torch.Tensor:
    """Of a file or folder that is nothing else; it has been held against the party's own data."""
    assert config.public_pool.unlabelled is not None, "there is none"
    read = read_further(Path(config.public_pool.unlabelled), config, bundle)
    for note in read.notes:
        say(f"public pool: {note}")
    return read.inputs[random_positions(len(read.inputs), config.public_pool.max_samples)]


def _of_a_set(config: PartyConfig | RunConfig, bundle: DataBundle) -> torch.Tensor:
    read = load_data(config.public_pool.data(config.data), config.task)
    raw_NX, origin = read.train.inputs, bundle.origin
    shape, dtype = bundle.input_shape, bundle.train.dtype
    if origin is not None:
        shape, dtype = origin.input_shape, origin.dtype
    if (tuple(raw_NX.shape[1:]), raw_NX.dtype) != (shape, dtype):
        raise DataError(
            f"its samples are {raw_NX.dtype} of shape {tuple(raw_NX.shape[1:])}, your own {dtype} of "
            f"shape {shape}; both parties' networks must take them as they take their own"
        )
    if origin is None and dict(read.columns) != dict(bundle.columns):
        raise DataError("its columns are not those of your own data; read both by the same schema")
    return raw_NX


def public_terms(config: PartyConfig, bundle: DataBundle) -> PublicQuestionTerms:
    """What this party says of it in the handshake."""
    if bundle.public_pool is None:
        return PublicQuestionTerms()
    return PublicQuestionTerms(
        digest=bundle.public_pool.digest,
        num_samples=len(bundle.public_pool.samples),
        num_queries=config.public_pool.num_queries,
    )


def _doubts(config: PartyConfig | RunConfig, bundle: DataBundle, pool: PublicPool) -> list[str]:
    """Own samples that are public by this, and test samples that the network learns from, if without their labels."""
    doubts, public = [], _rows(pool.samples.inputs)
    for name, part in (("training", bundle.train), ("test", bundle.test)):
        if not part.is_in_memory:
            doubts.append(f"public pool: not compared with {name} samples, which are read as they are needed")
            continue
        inputs_NX = part.inputs
        if bundle.origin is None:
            inputs_NX = part.normalized(config.data.mean, config.data.std).inputs
        if count := len(public & _rows(inputs_NX)):
            doubts.append(f"public pool: {count:,} of its samples are {name} samples here; is that meant?")
    return doubts


def _rows(inputs_NX: torch.Tensor) -> set[bytes]:
    """A digest of each sample."""
    rows = inputs_NX.contiguous().numpy().reshape(len(inputs_NX), -1)
    return {hashlib.sha256(row.data).digest() for row in rows}


def _digest(config: PartyConfig | RunConfig, bundle: DataBundle, raw_NX: torch.Tensor) -> str:
    """Of the samples as they were read: features are computed again with other rounding on another machine."""
    made: object = None if bundle.origin is None else bundle.origin.map_digest
    if bundle.origin is None:
        # One value for all channels is one a channel.
        constants = (config.data.mean, config.data.std)
        made = [values * raw_NX.shape[1] if len(values) == 1 else values for values in constants]
    digest = hashlib.sha256(f"{tuple(raw_NX.shape)} {raw_NX.dtype} {made}\n".encode())
    digest.update(raw_NX.contiguous().numpy().reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
