"""Poisoned answers: the network that answers is the adversary's own with another last layer.

A scheme evaluates it like any network of that architecture, so the honest party sees nothing but its answers.

- random: weights of the last layer drawn afresh for each exchange, of the same size.
- constant: always class target, with certainty.
- inverted: all logits negated; the least likely class becomes the most likely one.
- targeted: classes source and target exchanged.
- stealthy: knows the trust rules, which look at the most likely class alone. On samples of class source it lifts
  target as far as it can while its accuracy on its own data falls by no more than `tolerance`: the first class stays
  right, the second one misleads.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from smule_crypten.attacks.attack import Attack, Predict, answered_as
from smule_crypten.config.sections import Section
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ModelError
from smule_crypten.models.modules import copied, device_of

_CERTAIN = 10.0
"""A logit so far above the others leaves them 4 in 10,000 together, of 10 classes."""
_LIFTS = torch.linspace(0, 2, 41)
_MOST_SAMPLES = 1000


class AnswersOptions(Section):
    kind: Literal["random", "constant", "inverted", "targeted", "stealthy"] = "inverted"
    """random; constant: always target; inverted; targeted: source and target exchanged; stealthy: the most likely class
    stays right, the second one misleads from source to target."""
    source: int = Field(default=1, ge=0)
    """The class that is misled from."""
    target: int = Field(default=0, ge=0)
    """The class that is misled to."""
    tolerance: float = Field(default=0.02, ge=0.0, le=1.0)
    """Loss of accuracy on its own data that stealthy accepts."""
    from_exchange: int = Field(default=1, ge=1)
    """The first exchange, counted from 1, that is answered so; honest answers come before."""

    @model_validator(mode="after")
    def _classes_differ(self) -> AnswersOptions:
        if self.source == self.target:
            raise ValueError("source and target must be two different classes")
        return self


class PoisonedAnswers(Attack):
    def __init__(self, options: AnswersOptions, train: Samples, num_classes: int, seed: int) -> None:
        self._options = options
        self._num_classes = num_classes
        self._seed = seed
        chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:_MOST_SAMPLES]
        self._own = train.select(chosen)

    def answering(self, model: nn.Module, exchange: int) -> nn.Module:
        if exchange < self._options.from_exchange:
            return model
        changed = copied(model)
        last = self._last_layer(changed)
        with torch.no_grad():
            self._change(changed, last, exchange)
        return changed

    def success(self, predict: Predict, test: Samples) -> float | None:
        """Share of class source (constant: of all other classes) that is taken for target."""
        kind, target = self._options.kind, self._options.target
        if kind in ("random", "inverted"):
            return None
        source = None if kind == "constant" else self._options.source
        return answered_as(predict(test.inputs), test.targets, target, source)

    def _last_layer(self, model: nn.Module) -> nn.Linear:
        layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        if not layers or layers[-1].out_features != self._num_classes or layers[-1].bias is None:
            raise ModelError("attack=answers changes a last layer of type Linear with a bias; choose such a network")
        return layers[-1]

    def _change(self, model: nn.Module, last: nn.Linear, exchange: int) -> None:
        source, target = self._options.source, self._options.target
        parameters: list[torch.Tensor] = [last.weight, last.bias]
        match self._options.kind:
            case "random":
                generator = torch.Generator().manual_seed(self._seed + exchange)
                for parameter in parameters:
                    drawn = torch.randn(parameter.shape, generator=generator).to(parameter)
                    parameter.copy_(drawn * parameter.norm() / drawn.norm())
            case "constant":
                last.weight.zero_()
                last.bias.copy_(_CERTAIN * (torch.arange(self._num_classes) == target))
            case "inverted":
                for parameter in parameters:
                    parameter.neg_()
            case "targeted":
                for parameter in parameters:
                    parameter[[source, target]] = parameter[[target, source]]
            case "stealthy":
                self._lift_unnoticed(model, parameters)

    def _lift_unnoticed(self, model: nn.Module, parameters: list[torch.Tensor]) -> None:
        source, target = self._options.source, self._options.target
        honest = [parameter[target].clone() for parameter in parameters]
        step = [parameter[source] - parameter.mean(0) for parameter in parameters]

        def accuracy(lift: float) -> float:
            for parameter, old, direction in zip(parameters, honest, step, strict=True):
                parameter[target] = old + lift * direction
            return _accuracy(model, self._own)

        least = accuracy(0.0) - self._options.tolerance
        accuracy(max(float(lift) for lift in _LIFTS if accuracy(float(lift)) >= least))


def _accuracy(model: nn.Module, data: Samples) -> float:
    model.eval()  # a copy, which nobody trains
    device = device_of(model)
    return float((model(data.inputs.to(device)).argmax(1).cpu() == data.targets).double().mean())
