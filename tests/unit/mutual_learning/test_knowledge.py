from __future__ import annotations

import torch
from torch import nn

from smule_crypten.data.images import LabelledImages
from smule_crypten.mutual_learning.cache import SoftLabelCache
from smule_crypten.mutual_learning.knowledge import OwnKnowledge


def knowledge(model: nn.Module) -> OwnKnowledge:
    """Of 600 samples of 4 pixels, which is more than one batch."""
    images = torch.randn(600, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    samples = LabelledImages(images, torch.arange(600) % 3, torch.arange(600))
    cache = SoftLabelCache(samples.sample_ids_N, num_classes=3)
    cache.store(torch.tensor([5]), torch.tensor([[1.0, 2.0, 3.0]]), model_step=1)
    return OwnKnowledge(model, samples.select, cache)


def test_features_are_what_the_last_layer_sees() -> None:
    """In evaluation mode, in the order of the ids; the network is left as it was."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
    known, ids = knowledge(model), torch.tensor([599, *range(10, 560)])
    features, logits = known.features(ids), known.logits(ids)
    assert features.shape == (551, 5)
    torch.testing.assert_close(model[4](features), logits)
    assert model.training
    assert not model[4]._forward_pre_hooks


def test_a_network_without_a_linear_layer() -> None:
    """Its probabilities serve as features."""
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten())
    features = knowledge(model).features(torch.arange(4))
    torch.testing.assert_close(features.sum(1), torch.ones(4))


def test_labels_and_answers() -> None:
    """By sample id."""
    known = knowledge(nn.Flatten())
    assert known.labels(torch.tensor([4, 0])).tolist() == [1, 0]
    soft = known.answers(torch.tensor([1, 5]))
    assert soft is not None
    assert soft.positions.tolist() == [1]
