"""Which of several networks to keep, by what they do on the validation part.

A small validation part is noisy. The best of many networks on it is best by luck as well, and with a learning rate that
falls towards the end the last network is usually the best one. So the last network is kept that does not fall short of
the best one by more than the standard error of the measurement.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from torch import nn

from smule_crypten.models.state import plain_state


class BestNetwork:
    """Keeps weights. Networks are offered one after the other, those that are to win in doubt last."""

    def __init__(self) -> None:
        self._best = -math.inf
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

    def offer(self, model: nn.Module, score: float, error: float, name: str, model_step: int) -> None:
        """Keep a copy of model, unless it is clearly worse than the best one before.

        Args:
            score: on the validation part, higher is better.
            error: its standard error.
        """
        if score > self._best:
            self._best, self._margin = score, error
        if score >= self._best - self._margin:
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
