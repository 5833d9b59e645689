from __future__ import annotations

import torch
from torch import nn

from smule_crypten.training.best import BestNetwork, balanced_accuracy
from smule_crypten.training.evaluate import Evaluation

COUNTS = torch.tensor([50, 50])


def evaluation(*rates: float | None) -> Evaluation:
    known = [rate for rate in rates if rate is not None]
    return Evaluation(accuracy=sum(known) / len(known), accuracy_by_class=list(rates), loss=1.0)


def network(value: float) -> nn.Module:
    linear = nn.Linear(1, 1)
    nn.init.constant_(linear.weight, value)
    return linear


def kept(*rates: float) -> str:
    """Which of several networks is kept, all of them with these accuracies in both classes."""
    keeper = BestNetwork()
    for number, rate in enumerate(rates):
        keeper.offer(network(number), evaluation(rate, rate), COUNTS, f"number {number}", model_step=number)
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
    assert balanced_accuracy(evaluation(1.0, 0.5, None), torch.tensor([990, 10, 0]))[0] == 0.75


def test_the_kept_weights_come_back() -> None:
    """Also after the keeper itself was saved and loaded, and whatever became of the network since."""
    keeper, model = BestNetwork(), network(3.0)
    keeper.offer(model, evaluation(0.9, 0.9), COUNTS, "good", model_step=8)
    nn.init.zeros_(next(model.parameters()))
    other = BestNetwork()
    other.load_state_dict(keeper.state_dict())
    other.restore(model)
    assert (other.name, other.model_step, next(model.parameters()).item()) == ("good", 8, 3.0)
