"""A simulation repeats bit for bit: silent transfers draw from the operating system, and no result depends on them."""

from __future__ import annotations

import pytest
import torch
from comparison_harness import ideal_parties
from lean_networks import NETWORKS, SHAPE
from two_party_harness import direction, two_party_config


@pytest.mark.parametrize("name", NETWORKS)
def test_no_logit_depends_on_the_transfers(name: str) -> None:
    """Other pads part hidden values otherwise; the same keys of both parties give the same logits, to the last bit."""
    torch.manual_seed(4)
    model = NETWORKS[name]().eval()
    x = torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(1))
    first, second = (direction(model, x, two_party_config(), parties=ideal_parties(seed)).run()[0] for seed in (1, 2))
    assert torch.equal(first, second)
