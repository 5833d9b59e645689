"""Which of several networks to keep, by what they do on the validation part.

A small validation part is noisy. The best of many networks on it is best by luck as well, and with a learning rate that
falls towards the end the last network is usually the best one. So the last network is kept that does not fall short of
the best one by more than the standard error of the measurement.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from smule_crypten.models.state import plain_state
from smule_crypten.training.evaluate import Evaluation


class BestNetwork:
    """Keeps weights. Networks are offered one after the other, those that are to win in doubt last."""

    def __init__(self) -> None:
        self._best = -1.0
        self._margin = 0.0
        self._weights: dict[str, Any] = {}
        self._name = ""
        self._model_step = 0

    @property
    def name(self) -> str:
        """What the kept network was offered as; empty as long as there is none."""
        return self._name

    @property
    def model_step(self) -> int:
        """Optimizer steps behind the kept network."""
        return self._model_step

    def offer(
        self, model: nn.Module, result: Evaluation, class_counts: torch.Tensor, name: str, model_step: int
    ) -> None:
        """Keep a copy of model, unless it is clearly worse than the best one before.

        Args:
            class_counts: (C,) samples of each class in the validation part.
        """
        accuracy, error = balanced_accuracy(result, class_counts)
        if accuracy > self._best:
            self._best, self._margin = accuracy, error
        if accuracy >= self._best - self._margin:
            self._name, self._model_step = name, model_step
            self._weights = copy.deepcopy(plain_state(model.state_dict()))

    def restore(self, model: nn.Module) -> None:
        """Give model the kept weights."""
        model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self._best,
            "margin": self._margin,
            "weights": copy.deepcopy(self._weights),
            "name": self._name,
            "model_step": self._model_step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._best, self._margin = state["best"], state["margin"]
        self._weights, self._name, self._model_step = state["weights"], state["name"], state["model_step"]


def balanced_accuracy(result: Evaluation, class_counts: torch.Tensor) -> tuple[float, float]:
    """The mean of the accuracies of all classes that occur, and its standard error.

    A party that holds few samples of a class may need it as much as the others.
    """
    rates = [
        (rate, int(count))
        for rate, count in zip(result.accuracy_by_class, class_counts, strict=True)
        if rate is not None
    ]
    # One right and one wrong answer more for each class keep the error of a perfect score above zero.
    variances = [(rate * n + 1) * ((1 - rate) * n + 1) / (n + 2) ** 3 for rate, n in rates]
    return sum(rate for rate, _ in rates) / len(rates), sum(variances) ** 0.5 / len(rates)
