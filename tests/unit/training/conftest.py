"""A problem small enough to be learned in a second."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from bright_rows import bright_rows
from torch import nn

from smule_crypten.data.samples import Samples


@pytest.fixture(autouse=True)
def _repeatable(repeatable: None) -> None:
    """For all tests here."""


@pytest.fixture
def blobs() -> Samples:
    """50 images of 1x4x4 in 3 classes; in class c row c is bright. Sample ids start at 100."""
    return bright_rows(50, num_classes=3, side=4, first_id=100)


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
