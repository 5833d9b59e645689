"""A problem that a linear network solves, and such a network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from smule_crypten.data.images import LabelledImages


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def stripes() -> LabelledImages:
    """400 images of 1x8x8 in 4 classes; in class c row c is bright. Sample ids start at 1000."""
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(400) % 4
    images_NCHW = 0.3 * torch.randn(400, 1, 8, 8, generator=generator)
    images_NCHW[torch.arange(400), 0, labels_N] += 1.0
    return LabelledImages(images_NCHW, labels_N, torch.arange(1000, 1400))


@pytest.fixture
def reader() -> nn.Module:
    """Sums each of the first four rows: right about all stripes."""
    last = nn.Linear(64, 4)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
        for label in range(4):
            last.weight[label, 8 * label : 8 * label + 8] = 1.0
    return nn.Sequential(nn.Flatten(), last)
