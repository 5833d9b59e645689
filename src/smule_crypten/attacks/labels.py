"""Flipped labels, symmetric (any other class) or targeted (one class as another)."""

from __future__ import annotations

import torch
from pydantic import Field, model_validator

from smule_crypten.attacks.attack import Attack, Predict, answered_as
from smule_crypten.config.sections import Section
from smule_crypten.data.samples import Samples


class LabelFlipOptions(Section):
    """Which labels an adversary flips, and to what.

    source and target together make the flip targeted; without them each label becomes any other class with equal
    probability.
    """

    fraction: float = Field(default=0.4, ge=0.0, le=1.0)
    """Share of its samples, or of those of class source, whose label is changed."""
    source: int | None = Field(default=None, ge=0)
    """With target: only labels of this class are changed."""
    target: int | None = Field(default=None, ge=0)
    """What source becomes; without both, a label becomes any other class."""

    @model_validator(mode="after")
    def _pair_is_complete(self) -> LabelFlipOptions:
        if (self.source is None) != (self.target is None) or (self.source == self.target is not None):
            raise ValueError("give source and target, two different classes, or neither of them")
        return self


class LabelFlip(Attack):
    def __init__(self, options: LabelFlipOptions, train: Samples, num_classes: int, seed: int) -> None:
        self._options = options
        self._num_classes = num_classes
        self._seed = seed

    def poisoned(self, train: Samples) -> Samples:
        generator = torch.Generator().manual_seed(self._seed)
        source, target = self._options.source, self._options.target
        candidates = torch.arange(len(train)) if source is None else (train.targets == source).nonzero()[:, 0]
        count = round(self._options.fraction * len(candidates))
        chosen = candidates[torch.randperm(len(candidates), generator=generator)[:count]]
        labels_N = train.targets.clone()
        if target is not None:
            labels_N[chosen] = target
        else:
            steps = torch.randint(1, self._num_classes, (count,), generator=generator)
            labels_N[chosen] = (labels_N[chosen] + steps) % self._num_classes
        return train.with_targets(labels_N)

    def success(self, predict: Predict, test: Samples) -> float | None:
        """For a targeted flip, the share of class source that is taken for target."""
        if self._options.target is None:
            return None
        return answered_as(predict(test.inputs), test.targets, self._options.target, self._options.source)
