"""A problem small enough to be learned in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from smule_crypten.data.images import LabelledImages


@pytest.fixture(autouse=True)
def _repeatable() -> Iterator[None]:
    """One thread, and the same initial weights in each run of a test."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def blobs() -> LabelledImages:
    """50 images of 1x4x4 in 3 classes; in class c row c is bright. Sample ids start at 100."""
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(50) % 3
    images_NCHW = 0.3 * torch.randn(50, 1, 4, 4, generator=generator)
    images_NCHW[torch.arange(50), 0, labels_N] += 1.0
    return LabelledImages(images_NCHW, labels_N, torch.arange(100, 150))


@pytest.fixture
def make_network() -> Callable[[], nn.Module]:
    """The same small network each time, with dropout and batch normalization, whose state a trainer must handle."""

    def make() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return nn.Sequential(
                nn.Flatten(), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 3)
            )

    return make
