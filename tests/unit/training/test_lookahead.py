from __future__ import annotations

import pytest
import torch
from torch import nn

from smule_crypten.training.lookahead import distillation_harms


def network() -> nn.Module:
    """Knows nothing yet, so that each gradient step counts."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    nn.init.zeros_(model[1].weight)
    nn.init.zeros_(model[1].bias)
    return model


def samples(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.randn(count, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return images, (images.flatten(1)[:, 0] > 0).long()


@pytest.mark.parametrize("peer_is_right", [True, False])
def test_the_sign_is_that_of_a_real_step(peer_is_right: bool) -> None:
    """It says what a small gradient step along the distillation term does to the validation loss."""
    images, labels = samples(120)
    logits = 4.0 * torch.eye(2)[labels if peer_is_right else 1 - labels]
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answered = images[60:], logits[60:], torch.ones(60)
    assert distillation_harms(model, (images[:60], labels[:60]), answered, 2.0) is not peer_is_right
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_noise_is_no_harm() -> None:
    """Answers without any relation to the labels point nowhere: they are not called harmful on average."""
    harmful = 0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        images, labels = samples(120)
        logits = 4.0 * torch.eye(2)[torch.randint(2, (60,), generator=generator)]
        harmful += distillation_harms(network(), (images[:60], labels[:60]), (images[60:], logits, torch.ones(60)), 2.0)
    assert harmful <= 8


def test_answers_without_weight_or_too_few_do_no_harm() -> None:
    """What cannot be judged is not condemned."""
    images, labels = samples(12)
    wrong = 4.0 * torch.eye(2)[1 - labels]
    assert not distillation_harms(network(), (images, labels), (images, wrong, torch.zeros(12)), 2.0)
    assert not distillation_harms(network(), (images, labels), (images[:1], wrong[:1], torch.ones(1)), 2.0)
