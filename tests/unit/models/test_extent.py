from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from smule_crypten.errors import ModelError
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.extent import check_extent, count_elements
from smule_crypten.models.translate import translate


def small() -> Architecture:
    """2x4x4 -> conv 3x4x4 -> max 3x2x2 -> flat 12 -> 5."""
    layers = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 5))
    return translate(layers, (2, 4, 4)).architecture


def test_weights_and_values_are_counted() -> None:
    """Weights once; input, results and the windows of a maximum for each sample."""
    weights, values = 3 * 2 * 9 + 12 * 5, 2 * 16 + 3 * 16 + 12 * 4 + 12 + 5
    assert count_elements(small(), 1) == weights + values
    assert count_elements(small(), 10) == weights + 10 * values


def test_the_limit_is_inclusive_and_named() -> None:
    """The message says how large the network is, and which settings decide."""
    count = count_elements(small(), 7)
    check_extent(small(), 7, count)
    message = f"{count:,} elements, scheme.max_elements allows {count - 1:,}; agree on a smaller network"
    with pytest.raises(ModelError, match=re.escape(message)):
        check_extent(small(), 7, count - 1)


def test_windows_that_overlap_are_counted() -> None:
    """Protects memory from a description of a few bytes: a large window at stride 1 is a thousand times its input."""
    architecture = translate(nn.Sequential(nn.MaxPool2d(32, stride=1), nn.Flatten()), (1, 64, 64)).architecture
    assert count_elements(architecture, 1) > 33 * 33 * 32 * 32
    assert torch.prod(torch.tensor(architecture.input_shape)) == 64 * 64
