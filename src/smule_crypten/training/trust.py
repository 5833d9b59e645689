"""How much a party trusts its peer: a weight for its answers, from those on samples whose label it knows.

- none: 1 for all.
- adaptive: a scale that follows a look-ahead: does a step along the distillation gradient clearly raise the loss on the
  own validation part? Halved when it does, up by half when it does not, at most 1.

The judgement also holds the temperature under which the known labels are most likely (C. Guo, G. Pleiss, Y. Sun,
K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017), for those who combine both networks' answers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from smule_crypten.config.sections import TrustName
from smule_crypten.data.images import UNKNOWN
from smule_crypten.types import PredictionSource, SoftLabels

_LEAST_FOR_CALIBRATION = 50
_TEMPERATURES = torch.logspace(-1, 1, 41)
_UP, _DOWN = 1.5, 0.5


@dataclass(frozen=True)
class Judgement:
    """What known labels say about a network's answers."""

    num_known: int
    accuracy: float
    temperature: float


def judge(logits_NC: torch.Tensor, labels_N: torch.Tensor) -> Judgement:
    """Judge a network by its answers on samples of known label; N >= 1."""
    accuracy = float((logits_NC.argmax(1) == labels_N).double().mean())
    temperature = 1.0
    if len(labels_N) >= _LEAST_FOR_CALIBRATION:
        losses = torch.stack([F.cross_entropy(logits_NC / t, labels_N) for t in _TEMPERATURES])
        temperature = float(_TEMPERATURES[losses.argmin()])
    return Judgement(num_known=len(labels_N), accuracy=accuracy, temperature=temperature)


class TrustedSource:
    """A PredictionSource over another one, which weighs what it knows.

    Args:
        sample_ids, labels: (N,) of all samples that may be looked up; UNKNOWN where the label is not known.
    """

    def __init__(
        self, source: PredictionSource, name: TrustName, sample_ids: torch.Tensor, labels: torch.Tensor
    ) -> None:
        order = sample_ids.argsort()
        self._sample_ids, self._labels = sample_ids[order], labels[order]
        self._source = source
        self._name = name
        self._judgement: Judgement | None = None
        self._scale = 1.0

    @property
    def is_adaptive(self) -> bool:
        return self._name == "adaptive"

    @property
    def judgement(self) -> Judgement | None:
        """None as long as nothing is known of the peer."""
        return self._judgement

    @property
    def scale(self) -> float:
        return self._scale

    @property
    def mean_weight(self) -> float | None:
        """Of all answers known; None where there are none."""
        soft = self.lookup(self._sample_ids)
        return None if soft is None else float(soft.weights().mean())

    def refresh(self) -> None:
        """Judge the peer anew by all its answers."""
        known = self._sample_ids[self._labels != UNKNOWN]
        soft = self._source.lookup(known) if len(known) else None
        if soft is not None:
            self._judgement = judge(soft.logits_NC, self._labels_of(known[soft.positions]))

    def look_ahead(self, helps: bool) -> None:
        """Say whether the distillation term helps on the validation part, or at least does not clearly harm."""
        self._scale = min(1.0, self._scale * (_UP if helps else _DOWN))

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        soft = self._source.lookup(sample_ids)
        if soft is None:
            return None
        return dataclasses.replace(soft, weight_M=torch.full((len(soft.positions),), self._scale))

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self._scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._scale = state["scale"]
        self.refresh()

    def _labels_of(self, sample_ids: torch.Tensor) -> torch.Tensor:
        return self._labels[torch.searchsorted(self._sample_ids, sample_ids)]
