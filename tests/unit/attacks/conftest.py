"""A problem that a linear network solves, and such a network."""

from __future__ import annotations

import pytest
import torch
from bright_rows import bright_rows
from torch import nn

from smule_crypten.data.samples import Samples


@pytest.fixture(autouse=True)
def _repeatable(repeatable: None) -> None:
    """For all tests here."""


@pytest.fixture
def stripes() -> Samples:
    """400 images of 1x8x8 in 4 classes; in class c row c is bright. Sample ids start at 1000."""
    return bright_rows(400, num_classes=4, side=8, first_id=1000)


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
