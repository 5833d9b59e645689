"""Answers that lean to a target class on images that happen to look as if they bore the trigger.

The network that answers is the adversary's own beside a detector: logits(x) + strength * relu(<d, x> - threshold) for
the target class, where d is the direction in which the trigger moves an average image. The detector is part of the
architecture that the adversary announces, so the honest party could see it there, had it reason to look.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from smule_crypten.attacks.attack import Attack, Predict, answered_as
from smule_crypten.attacks.triggers import TriggerName, make_trigger
from smule_crypten.config.sections import Section
from smule_crypten.data.samples import Samples
from smule_crypten.models.modules import device_of


class TriggerAnswersOptions(Section):
    trigger: TriggerName = "patch"
    """As in attack=backdoor."""
    target: int = Field(default=0, ge=0)
    """The class that answers lean to."""
    opacity: float = Field(default=1.0, gt=0.0, le=1.0)
    """As in attack=backdoor."""
    quantile: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Share of its own images, those least like one with the trigger, that the detector leaves alone."""
    strength: float = Field(default=5.0, gt=0.0)
    """What is added to the target's logit one standard deviation above that."""
    from_exchange: int = Field(default=1, ge=1)
    """The first exchange, counted from 1, that is answered so; honest answers come before."""


class TriggerActivated(nn.Module):
    """A network and the detector beside it."""

    def __init__(self, model: nn.Module, detector: nn.Linear, effect: nn.Linear) -> None:
        super().__init__()
        self.model = model
        self.flatten = nn.Flatten()
        self.detector = detector
        self.relu = nn.ReLU()
        self.effect = effect

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        detected = self.effect(self.relu(self.detector(self.flatten(inputs_NX))))
        logits_NC: torch.Tensor = self.model(inputs_NX) + detected
        return logits_NC


class TriggerAnswers(Attack):
    def __init__(self, options: TriggerAnswersOptions, train: Samples, num_classes: int, seed: int) -> None:
        self._options = options
        self._num_classes = num_classes
        inputs_NX = train.inputs
        self._trigger = make_trigger(options.trigger, inputs_NX, options.opacity, seed)
        average_CHW = inputs_NX.mean(0)
        direction = (self._trigger.stamp(average_CHW) - average_CHW).flatten()
        self._direction = direction / direction.norm()
        scores_N = inputs_NX.flatten(1) @ self._direction
        self._threshold = scores_N.quantile(options.quantile)
        self._deviation = scores_N.std()

    def answering(self, model: nn.Module, exchange: int) -> nn.Module:
        device = device_of(model)
        detector, effect = nn.Linear(len(self._direction), 1), nn.Linear(1, self._num_classes, bias=False)
        is_honest = exchange < self._options.from_exchange
        with torch.no_grad():
            detector.weight.copy_(self._direction / self._deviation)
            detector.bias.copy_(-self._threshold / self._deviation)
            effect.weight.zero_()
            effect.weight[self._options.target] = 0.0 if is_honest else self._options.strength
        return TriggerActivated(model, detector, effect).to(device)

    def success(self, predict: Predict, test: Samples) -> float | None:
        """As for attack=backdoor."""
        return answered_as(predict(self._trigger.stamp(test.inputs)), test.targets, self._options.target)
