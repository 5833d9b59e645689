"""A problem small enough to be learned in a second."""

from __future__ import annotations

import torch

from smule_crypten.data.samples import Samples


def bright_rows(count: int, *, num_classes: int, side: int, first_id: int) -> Samples:
    """Noise of 1 x side x side, the classes in turn; in class c row c is bright. Sample ids count up from first_id."""
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(count) % num_classes
    inputs_NX = 0.3 * torch.randn(count, 1, side, side, generator=generator)
    inputs_NX[torch.arange(count), 0, labels_N] += 1.0
    return Samples(inputs_NX, labels_N, torch.arange(first_id, first_id + count))
