"""What a party brings to a run: its part of the data and its network, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from smule_crypten.config import RunConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.images import DataBundle, LabelledImages
from smule_crypten.data.partition import split
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.models.zoo import build_model
from smule_crypten.types import PARTY_NAMES


@dataclass(frozen=True, kw_only=True)
class SimulatedData:
    """One data set, and which of its training samples each party holds."""

    bundle: DataBundle
    positions: tuple[torch.Tensor, torch.Tensor]

    def train_of(self, rank: int, run: RunConfig) -> LabelledImages:
        """The normalised training samples of one party."""
        return self.bundle.train.select(self.positions[rank]).normalized(run.data.mean, run.data.std)

    def pooled(self, run: RunConfig) -> LabelledImages:
        """The training samples of both parties: what no party sees."""
        return self.bundle.train.normalized(run.data.mean, run.data.std)

    def test(self, run: RunConfig) -> LabelledImages:
        return self.bundle.test.normalized(run.data.mean, run.data.std)


def load_simulated_data(run: RunConfig) -> SimulatedData:
    """Load and split the data set; the same in every process of a run.

    Raises:
        ConfigError, DataError: the data cannot be used, or a party has fewer samples than a batch.
    """
    bundle = load_data(run.data)
    positions = split(bundle.train.labels_N, run.partition, bundle.num_classes, run.seed)
    for rank, name in enumerate(PARTY_NAMES):
        if len(positions[rank]) < run.training.batch_size:
            raise DataError(
                f"party {name} has {len(positions[rank])} training samples, fewer than one batch; "
                f"set training.batch_size to at most that, or change the partition"
            )
    return SimulatedData(bundle=bundle, positions=positions)


def build_party_model(run: RunConfig, rank: int, bundle: DataBundle) -> nn.Module:
    """The party's network with its initial weights; calling again gives the same weights."""
    return build_model(run.party_section(rank).model, bundle.input_shape, bundle.num_classes, party_seed(run, rank))


def party_seed(run: RunConfig, rank: int) -> int:
    """Seed of everything random in a party's training, different for each party and run seed."""
    return 2 * run.seed + rank


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
