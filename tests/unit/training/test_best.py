from __future__ import annotations

import math

import torch
from torch import nn

from smule_crypten.tasks.classification import balanced_accuracy
from smule_crypten.training.best import BestNetwork


def answers(*right_of: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels: of each class so many right ones, of so many."""
    classes, labels, said = len(right_of), [], []
    for label, (right, count) in enumerate(right_of):
        labels += [label] * count
        said += [label] * right + [(label + 1) % classes] * (count - right)
    return torch.eye(classes)[said], torch.tensor(labels)


def network(value: float) -> nn.Module:
    linear = nn.Linear(1, 1)
    nn.init.constant_(linear.weight, value)
    return linear


def kept(*rates: float) -> str:
    """Which of several networks is kept, all of them with these accuracies in both classes."""
    keeper = BestNetwork()
    for number, rate in enumerate(rates):
        judged = balanced_accuracy(*answers((round(50 * rate), 50), (round(50 * rate), 50)))
        keeper.offer(network(number), *judged, f"number {number}", model_step=number)
    return keeper.name


def test_the_last_of_equally_good_networks_is_kept() -> None:
    """A difference within the standard error (0.05 here) is no reason to go back."""
    assert kept(0.50, 0.52, 0.49) == "number 2"


def test_a_clearly_worse_network_is_not_kept() -> None:
    """Nor does a slow decline carry the mark down: the best one counts."""
    assert kept(0.5, 0.8, 0.6) == "number 1"
    assert kept(0.80, 0.77, 0.74, 0.71, 0.68) == "number 1"


def test_all_classes_count_the_same() -> None:
    """Few samples of a class do not make it less important; a class without samples is left out."""
    assert balanced_accuracy(*answers((990, 990), (5, 10), (0, 0)))[0] == 0.75


def test_a_score_that_is_not_defined_keeps_the_last_network() -> None:
    """An AUROC of one class alone says nothing for going back."""
    keeper = BestNetwork()
    for number in range(3):
        keeper.offer(network(number), -math.inf, 0.0, f"number {number}", model_step=number)
    assert keeper.name == "number 2"


def test_the_kept_weights_come_back() -> None:
    """Also after the keeper itself was saved and loaded, and whatever became of the network since."""
    keeper, model = BestNetwork(), network(3.0)
    keeper.offer(model, 0.9, 0.01, "good", model_step=8)
    nn.init.zeros_(next(model.parameters()))
    other = BestNetwork()
    other.load_state_dict(keeper.state_dict())
    other.restore(model)
    assert (other.name, other.model_step, next(model.parameters()).item()) == ("good", 8, 3.0)
