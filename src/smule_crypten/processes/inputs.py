"""What a party brings to a run: its part of the data and its network, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from smule_crypten.config import DataConfig, PartitionConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.images import DataBundle, LabelledImages
from smule_crypten.data.partition import split
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.models.zoo import build_model
from smule_crypten.run_config import PartyConfig, ProtocolConfig, RunConfig
from smule_crypten.types import PARTY_NAMES


@dataclass(frozen=True, kw_only=True)
class PartyInputs:
    """One party's samples, normalised, and what is public about its data set."""

    bundle: DataBundle
    train: LabelledImages
    test: LabelledImages


@dataclass(frozen=True, kw_only=True)
class SimulatedData:
    """One data set, and which of its training samples each party holds. Only the parent of a simulation sees both."""

    bundle: DataBundle
    positions: tuple[torch.Tensor, torch.Tensor]
    pooled: LabelledImages
    test: LabelledImages


def load_party_inputs(config: PartyConfig) -> PartyInputs:
    """The party's own data: all of it between hosts, its part of the split in a simulation.

    Raises:
        ConfigError, DataError: the data cannot be used, or holds fewer samples than a batch.
    """
    bundle = load_data(config.data)
    train = bundle.train
    if config.partition is not None:
        train = train.select(_split(bundle, config.partition, config.seed)[config.rank])
    _require_a_batch(config.name, len(train), config.training.batch_size)
    return PartyInputs(bundle=bundle, train=_normalized(train, config.data), test=_normalized(bundle.test, config.data))


def load_simulated_data(run: RunConfig) -> SimulatedData:
    """Load and split the data set as the parties of a simulation do.

    Raises:
        ConfigError, DataError: the data cannot be used, or a party has fewer samples than a batch.
    """
    bundle = load_data(run.data)
    positions = _split(bundle, run.partition, run.seed)
    for name, held in zip(PARTY_NAMES, positions, strict=True):
        _require_a_batch(name, len(held), run.training.batch_size)
    pooled, test = (_normalized(images, run.data) for images in (bundle.train, bundle.test))
    return SimulatedData(bundle=bundle, positions=positions, pooled=pooled, test=test)


def build_party_model(config: PartyConfig, bundle: DataBundle) -> nn.Module:
    """The party's network with its initial weights; calling again gives the same weights."""
    return build_model(config.model, bundle.input_shape, bundle.num_classes, party_seed(config))


def public_configuration(config: PartyConfig, bundle: DataBundle) -> ProtocolConfig:
    """What this party says of itself in the handshake."""
    return ProtocolConfig.from_party(config, bundle.input_shape, bundle.num_classes, bundle.public_class_names)


def party_seed(config: PartyConfig) -> int:
    """Seed of everything random in a party's training, different for each party and run seed."""
    return 2 * config.seed + config.rank


def resolve_device(name: str) -> torch.device:
    """The device to train on.

    Raises:
        ConfigError: no such device here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device={name} cannot be used here ({reason}); set device=cpu") from None
    return device


def _split(bundle: DataBundle, partition: PartitionConfig, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return split(bundle.train.labels_N, partition, bundle.num_classes, seed)


def _normalized(images: LabelledImages, config: DataConfig) -> LabelledImages:
    return images.normalized(config.mean, config.std)


def _require_a_batch(name: str, num_samples: int, batch_size: int) -> None:
    if num_samples < batch_size:
        raise DataError(
            f"party {name} has {num_samples} training samples, fewer than one batch; "
            f"set training.batch_size to at most that, or change the partition"
        )
