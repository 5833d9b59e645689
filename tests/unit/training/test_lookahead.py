from __future__ import annotations

import pytest
import torch
from torch import nn

from smule_crypten.training.lookahead import distillation_helps


@pytest.mark.parametrize("peer_is_right", [True, False])
def test_the_sign_is_that_of_a_real_step(peer_is_right: bool) -> None:
    """It says what a small gradient step along the distillation term does to the validation loss."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(40, 1, 2, 2, generator=generator)
    labels = (images.flatten(1)[:, 0] > 0).long()
    logits = 4.0 * torch.eye(2)[labels if peer_is_right else 1 - labels]
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    nn.init.zeros_(network[1].weight)
    nn.init.zeros_(network[1].bias)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    answered = images[20:], logits[20:], torch.ones(20)
    assert distillation_helps(network, (images[:20], labels[:20]), answered, 2.0) is peer_is_right
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_answers_without_weight_do_not_help() -> None:
    """Nothing to gain is no help."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    images, labels = torch.randn(6, 1, 2, 2), torch.tensor([0, 1] * 3)
    assert not distillation_helps(network, (images, labels), (images, 4.0 * torch.eye(2)[labels], torch.zeros(6)), 2.0)
