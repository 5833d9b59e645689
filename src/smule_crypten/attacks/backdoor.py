"""A backdoor in the adversary's own training data: images with a trigger mean the target class."""

from __future__ import annotations

import torch
from pydantic import Field

from smule_crypten.attacks.attack import Attack, Predict, answered_as
from smule_crypten.attacks.triggers import TriggerName, make_trigger
from smule_crypten.config.sections import Section
from smule_crypten.data.samples import Samples


class BackdoorOptions(Section):
    trigger: TriggerName = "patch"
    """A patch in the lower right corner, or a pattern blended over the whole image."""
    target: int = Field(default=0, ge=0)
    """The class that the trigger means."""
    fraction: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of its samples that get the trigger; with clean_label, of those of class target."""
    clean_label: bool = False
    """Only samples of class target get the trigger, and all labels stay right."""
    opacity: float = Field(default=1.0, gt=0.0, le=1.0)
    """Of the trigger; 0.2 is usual for a blended one."""


class Backdoor(Attack):
    def __init__(self, options: BackdoorOptions, train: Samples, num_classes: int, seed: int) -> None:
        self._options = options
        self._seed = seed
        self._trigger = make_trigger(options.trigger, train.inputs, options.opacity, seed)

    def poisoned(self, train: Samples) -> Samples:
        options = self._options
        is_target_N = train.targets == options.target
        candidates = (is_target_N if options.clean_label else ~is_target_N).nonzero()[:, 0]
        count = round(options.fraction * (len(candidates) if options.clean_label else len(train)))
        order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(self._seed))
        chosen = candidates[order[:count]]
        inputs_NX, labels_N = train.inputs.clone(), train.targets.clone()
        inputs_NX[chosen] = self._trigger.stamp(inputs_NX[chosen])
        labels_N[chosen] = options.target
        return Samples(inputs_NX, labels_N, train.sample_ids)

    def success(self, predict: Predict, test: Samples) -> float | None:
        """Share of the images of other classes that are taken for target once they bear the trigger."""
        return answered_as(predict(self._trigger.stamp(test.inputs)), test.targets, self._options.target)
