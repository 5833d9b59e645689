"""What a party brings to a run: its part of the data and its network, checked before anything starts."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

import torch
from torch import nn

from smule_crypten.config.protocol import ProtocolConfig, PublicFeatures
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import DataConfig, ModelConfig
from smule_crypten.config.task_limits import scales_targets
from smule_crypten.data.partition import split
from smule_crypten.data.samples import DataBundle, Samples
from smule_crypten.errors import DataError
from smule_crypten.features.computing import Say
from smule_crypten.head_run.terms import head_terms
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.calibration import calibration_positions
from smule_crypten.models.zoo import build_model, named_network
from smule_crypten.party.public_samples import load_bundle_and_pool, public_terms
from smule_crypten.party.states import digest_of
from smule_crypten.tasks.by_name import party_task
from smule_crypten.training.augmentation import require_images
from smule_crypten.training.learner import Holding
from smule_crypten.types import InputShape

log = logging.getLogger(__name__)
_SEEDS_A_COPY = 2**31
"""Far above the seeds of parties, so that no copy begins as another party's network. PyTorch looks at 32 bits only."""


@dataclass(frozen=True, kw_only=True)
class PartyInputs(Holding):
    """One party's samples, and what is public about its data set.

    config: what the party was configured to do, with what follows from the data filled in (with_named_network). Whoever
    has loaded the data goes on with it: a run and the commands after it then mean the same network and constants.
    """

    config: PartyConfig
    bundle: DataBundle

    @property
    def parts(self) -> tuple[Samples, ...]:
        """All that a run depends on."""
        return self.train, self.validation, self.pool, self.test

    @property
    def digest(self) -> str:
        """SHA-256 of all parts; of features, by what they were made of."""
        origin = self.bundle.origin
        own = digest_of(*self.parts, made_of=None if origin is None else origin.content)
        pool = self.bundle.public_pool
        return own if pool is None else hashlib.sha256(f"{own}\n{pool.digest}".encode()).hexdigest()

    def calibration(self, config: PartyConfig) -> Samples:
        """Own samples that the network is measured on before it answers.

        The peer learns a bound that follows from them, so under training.dp no training sample may be among them.
        """
        return self.train if config.training.dp is None else self.validation

    def calibration_inputs(self, config: PartyConfig) -> torch.Tensor:
        """The inputs of those that are looked at."""
        samples = self.calibration(config)
        return samples.read(calibration_positions(len(samples)))


def load_party_inputs(config: PartyConfig, say: Say = log.info) -> PartyInputs:
    """The party's own data: all of it between hosts, its part of the split in a simulation.

    Args:
        say: hears how far features are.

    Raises:
        ConfigError, DataError: the data cannot be used, holds fewer samples than a batch, or cannot be augmented.
        ModelError: the public map of features cannot be used.
    """
    return inputs_of(config, load_bundle_and_pool(config, say))


def inputs_of(config: PartyConfig, bundle: DataBundle) -> PartyInputs:
    """As load_party_inputs, from a data set that is loaded."""
    before = bundle.input_shape if bundle.origin is None else bundle.origin.input_shape
    require_images(config.training.augmentation, before)
    held = torch.arange(len(bundle.train))
    if config.partition is not None:
        held = split(bundle.train.targets, config.partition, bundle.num_classes, config.seed)[config.rank]
    uses = divide(held, config)
    _require_a_batch(config.name, len(uses.train), config.training.batch_size)
    config = with_named_network(config, bundle)
    task = party_task(config)

    def taken(samples: Samples) -> Samples:
        return task.taken(_normalized(samples, config, bundle))

    def part(positions: torch.Tensor) -> Samples:
        return taken(bundle.train.select(positions))

    return PartyInputs(
        config=config,
        bundle=bundle,
        train=part(uses.train),
        validation=part(uses.validation),
        pool=part(uses.pool).without_labels(),
        test=taken(bundle.test),
        public=None if bundle.public_pool is None else bundle.public_pool.samples,
    )


@dataclass(frozen=True)
class Uses:
    """Positions of a party's samples, by what they are used for."""

    train: torch.Tensor
    validation: torch.Tensor
    pool: torch.Tensor


def divide(held: torch.Tensor, config: PartyConfig) -> Uses:
    """Divide the samples at these positions, at random but the same every time.

    Raises:
        DataError: the party holds fewer samples than it is to use.
    """
    samples = config.samples
    generator = torch.Generator().manual_seed(party_seed(config))
    shuffled = held[torch.randperm(len(held), generator=generator)]
    pool, rest = shuffled[: samples.unlabeled], shuffled[samples.unlabeled :]
    wanted = len(rest) if samples.labeled is None else samples.labeled
    if len(pool) < samples.unlabeled or len(rest) < max(1, wanted):
        raise DataError(
            f"party {config.name} has {len(held)} training samples, fewer than {samples.unlabeled} unlabelled and "
            f"{samples.labeled or 'some'} labelled ones; lower samples.unlabeled or samples.labeled of this party"
        )
    num_validation = round(samples.validation * wanted)
    parts = rest[num_validation:wanted], rest[:num_validation], pool
    return Uses(*(positions.sort().values for positions in parts))


def with_named_network(config: PartyConfig, bundle: DataBundle) -> PartyConfig:
    """What follows from the data: the network in place of "auto", and the scale of regression targets."""
    named = named_network(config.model, bundle.input_shape)
    return config.model_copy(update={"model": named, "data": with_target_constants(config.data, bundle)})


def with_target_constants(data: DataConfig, bundle: DataBundle) -> DataConfig:
    """Those that the data set knows, where the configuration has none."""
    if bundle.target_constants is None or scales_targets(data):
        return data
    return data.model_copy(update=dict(zip(("target_mean", "target_std"), bundle.target_constants, strict=True)))


def build_party_model(config: PartyConfig, bundle: DataBundle, copy: int = 0) -> nn.Module:
    """The party's network with its initial weights; calling again gives the same weights, another copy others."""
    return build_copy(config.model, bundle.input_shape, bundle.num_classes, party_seed(config), copy)


def build_copy(model: ModelConfig, input_shape: InputShape, num_classes: int, seed: int, copy: int = 0) -> nn.Module:
    """As build_party_model, of nothing but what it takes."""
    return build_model(model, input_shape, num_classes, seed + copy * _SEEDS_A_COPY)


def public_configuration(config: PartyConfig, bundle: DataBundle) -> ProtocolConfig:
    """What this party says of itself in the handshake."""
    options = scheme_class(config.scheme.name).check_options(config.scheme)
    features, origin = PublicFeatures(name=config.features.name), bundle.origin
    if origin is not None:
        features = PublicFeatures(name=config.features.name, input_shape=origin.input_shape, map=origin.map_digest)
    return ProtocolConfig.from_party(
        config,
        bundle.input_shape,
        bundle.num_classes,
        bundle.public_class_names,
        options,
        bundle.columns,
        features,
        public_terms(config, bundle),
        head_terms(config, bundle),
    )


def party_seed(config: PartyConfig) -> int:
    """Seed of everything random in a party's training, different for each party and run seed."""
    return 2 * config.seed + config.rank


def _normalized(samples: Samples, config: PartyConfig, bundle: DataBundle) -> Samples:
    """Features are standardised already."""
    return samples if bundle.origin is not None else samples.normalized(config.data.mean, config.data.std)


def _require_a_batch(name: str, num_samples: int, batch_size: int) -> None:
    if num_samples < batch_size:
        raise DataError(
            f"party {name} has {num_samples} training samples, fewer than one batch; "
            f"set training.batch_size to at most that, or change the partition"
        )
