"""How much a party trusts its peer: a weight for its answers, from those on samples whose label it knows.

- none: 1 for all.
- adaptive: a scale that follows a look-ahead: does a step along the distillation gradient clearly raise the loss on
  the party's validation part? Halved when it does, up by half when it does not, at most 1.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from smule_crypten.config.sections import TrustName
from smule_crypten.data.targets import is_known
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.task import Task
from smule_crypten.types import PredictionSource, SoftLabels

_UP, _DOWN = 1.5, 0.5


class TrustedSource:
    """A PredictionSource over another one, which weighs what it knows.

    Args:
        sample_ids, targets: of all N samples that may be looked up, known or not.
    """

    def __init__(
        self,
        source: PredictionSource,
        name: TrustName,
        sample_ids: torch.Tensor,
        targets: torch.Tensor,
        task: Task = CLASSIFICATION,
    ) -> None:
        order = sample_ids.argsort()
        self._sample_ids, self._targets = sample_ids[order], targets[order]
        self._task = task
        self._source = source
        self.is_adaptive = name == "adaptive"
        self.accuracy: float | None = None
        """Of the answers on samples of known label; None as long as there are none, and in regression."""
        self.has_evidence = False
        self.scale = 1.0

    @property
    def mean_weight(self) -> float | None:
        """Of all answers known; None where there are none."""
        soft = self.lookup(self._sample_ids)
        return None if soft is None else float(soft.weights().mean())

    def refresh(self) -> None:
        """Judge the peer again by all its answers."""
        known = self._sample_ids[is_known(self._targets)]
        soft = self._source.lookup(known) if len(known) else None
        if soft is not None:
            targets = self._targets[torch.searchsorted(self._sample_ids, known[soft.positions])]
            self.accuracy = self._task.accuracy(soft.logits_NC, targets)
            self.has_evidence = True

    def look_ahead(self, helps: bool) -> None:
        """Say whether the distillation term helps on the validation part, or at least does not clearly harm."""
        self.scale = min(1.0, self.scale * (_UP if helps else _DOWN))

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        soft = self._source.lookup(sample_ids)
        if soft is None:
            return None
        return dataclasses.replace(soft, weight_M=torch.full((len(soft.positions),), self.scale))

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self.scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scale = state["scale"]
        self.refresh()
