"""Training on shares is PyTorch's SGD, at exactly the predicted cost, and shows neither party the other's data."""

from __future__ import annotations

import pytest
import torch
from full_training_steps import Shape, received_in_a_step, trained_on_shares
from torch import nn

from smule_crypten.config.sections import ModelConfig
from smule_crypten.errors import UnshareableModelError
from smule_crypten.models.trainable import trained_positions, translate_trainable
from smule_crypten.mpc.training_plan import reciprocal_settings
from smule_crypten.testing import PartyPool, appears

NETWORKS: dict[str, tuple[ModelConfig, Shape]] = {
    "mlp": (ModelConfig(name="mlp", options={"hidden": [8]}), (1, 8, 8)),
    "convnet": (ModelConfig(name="small_convnet", options={"channels": [4, 6]}), (1, 8, 8)),
    "vectors": (ModelConfig(name="mlp", options={"hidden": [8]}), (7,)),
    "series": (ModelConfig(name="target", options={"_target_": "full_training_steps.OverTime"}), (2, 13)),
    "odd": (ModelConfig(name="target", options={"_target_": "full_training_steps.OddNetwork"}), (2, 10, 9)),
}


@pytest.mark.parametrize("dealt", [False, True], ids=["party a deals", "dealer"])
@pytest.mark.parametrize("name", NETWORKS)
def test_two_steps(pool: PartyPool, name: str, dealt: bool) -> None:
    """Protects: every layer's gradient, momentum and weight decay against PyTorch, and the predicted cost."""
    config, shape = NETWORKS[name]
    for outcome in pool.run(trained_on_shares, config, shape, (3, 2), 2, dealt=dealt):
        assert outcome.measured == outcome.predicted
        assert outcome.moved > 0.02
        assert outcome.error < 5e-4


def test_a_batch_of_one_party(pool: PartyPool) -> None:
    """Protects: whole batches in turn, where one party has no part in a batch."""
    config, shape = NETWORKS["mlp"]
    for outcome in pool.run(trained_on_shares, config, shape, (0, 4), 1):
        assert outcome.measured == outcome.predicted
        assert outcome.error < 5e-4


def test_nobody_receives_the_other_ones_data(pool: PartyPool) -> None:
    """Protects: before the opening, neither images nor weights stand in the clear in what the other party received."""
    config, shape = NETWORKS["convnet"]
    for received, secrets in pool.run(received_in_a_step, config, shape):
        assert received
        assert not any(appears(secret, received) for secret in secrets)


@pytest.mark.parametrize("classes", [2, 3, 10, 100, 1000])
def test_the_inverse_converges(classes: int) -> None:
    """Protects: Newton's iterations from the public guess reach 16 bits for every sum of exponentials that occurs."""
    sums = torch.linspace(1, classes, 1000, dtype=torch.float64)
    guess, iterations = reciprocal_settings(classes)
    inverse = torch.full_like(sums, guess)
    for _ in range(iterations):
        inverse = 2 * inverse - inverse.square() * sums
    assert float((inverse * sums - 1).abs().max()) < 2**-16


@pytest.mark.parametrize(
    ("layer", "name"), [(nn.BatchNorm2d(2), "1 .BatchNorm2d."), (nn.Dropout(0.5), "1 .Dropout.")], ids=["norm", "drop"]
)
def test_what_learns_in_another_way_is_refused(layer: nn.Module, name: str) -> None:
    """Protects: a layer whose training differs from its evaluation is named, not trained as if it were evaluated."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), layer, nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(UnshareableModelError, match=name):
        translate_trainable(model, (1, 4, 4))


def test_tied_weights_are_refused() -> None:
    """Protects: a layer that is used twice would be trained as two layers."""
    layer = nn.Linear(4, 4)
    with pytest.raises(UnshareableModelError, match="twice"):
        translate_trainable(nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer), (1, 2, 2))


def test_gradients_stop_before_the_first_weight() -> None:
    """Protects: no product is paid for a gradient that nobody needs."""
    model = nn.Sequential(nn.AvgPool2d(2), nn.ReLU(), nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 2))
    assert trained_positions(translate_trainable(model, (1, 4, 4)).architecture) == {2, 3, 4}
