"""Loaders as a user might write them for data=target; each process of a run calls them anew."""

from __future__ import annotations

import torch
from npz_files import draw
from torch.utils.data import TensorDataset, random_split

from smule_crypten.data.samples import DataBundle, Samples


def seeded() -> list[object]:
    return _split(torch.Generator().manual_seed(3))


def unseeded() -> list[object]:
    """Another split in each process: a generator that is seeded by the system."""
    generator = torch.Generator()
    generator.seed()
    return _split(generator)


def vectors() -> list[object]:
    return _classes_of_noise(9)


def series() -> list[object]:
    return _classes_of_noise(2, 16)


def _classes_of_noise(*shape: int) -> list[object]:
    """Two classes that differ in their mean."""
    generator = torch.Generator().manual_seed(4)
    labels = torch.arange(240) % 2
    inputs = torch.randn(240, *shape, generator=generator) + 2.0 * labels.view(-1, *[1] * len(shape))
    return list(random_split(TensorDataset(inputs, labels), [160, 80], generator=generator))


def _split(generator: torch.Generator) -> list[object]:
    images, labels = draw(240, seed=0)
    whole = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    return list(random_split(whole, [160, 80], generator=generator))


def numbers() -> DataBundle:
    """Two numbers a sample, of which one follows from the mean of the image."""
    images, _ = draw(240, seed=0)
    inputs_NX = torch.from_numpy(images)
    means_N = inputs_NX.float().flatten(1).mean(1)
    whole = Samples(inputs_NX, torch.stack([means_N, 100 - means_N], dim=1), torch.arange(240))
    return DataBundle(whole.select(torch.arange(160)), whole.select(torch.arange(160, 240)), ("mean", "rest"))
