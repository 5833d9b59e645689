"""How much a party trusts its peer: a weight for every answer, from answers on samples whose label it knows.

- none: 1 for all.
- argmax_gate: 0 where the peer is wrong about a known label, else 1.
- accuracy: the peer's accuracy on known labels above chance, (accuracy - 1/C) / (1 - 1/C).
- class_wise: for an answer "class c", how often such answers were right, above chance.
- adaptive: a scale that follows a look-ahead: does a step along the distillation gradient clearly raise the loss on the
  own validation part? Halved when it does, up by half when it does not, at most 1.

With a half-life, an answer also loses half its weight for every so many steps by which the newest one is ahead.

accuracy and class_wise also calibrate the answers: their logits are divided by the temperature under which the known
labels are most likely (C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML
2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from smule_crypten.config.sections import TrustName
from smule_crypten.data.images import UNKNOWN
from smule_crypten.types import PredictionSource, SoftLabels

_PRIOR_ANSWERS = 10
"""Answers of average quality that every class is credited with before its own are counted."""
_LEAST_FOR_CALIBRATION = 50
_TEMPERATURES = torch.logspace(-1, 1, 41)
_UP, _DOWN = 1.5, 0.5


@dataclass(frozen=True)
class Judgement:
    """What known labels say about the peer. by_class (C,): how often an answer "class c" is right."""

    num_known: int
    accuracy: float
    by_class: torch.Tensor
    temperature: float


def judge(logits_NC: torch.Tensor, labels_N: torch.Tensor) -> Judgement:
    """Judge the peer by its answers on samples of known label; N >= 1."""
    num_classes = logits_NC.shape[1]
    answers_N = logits_NC.argmax(1)
    right_N = answers_N == labels_N
    accuracy = float(right_N.double().mean())
    asked_C = torch.bincount(answers_N, minlength=num_classes).double()
    right_C = torch.bincount(answers_N[right_N], minlength=num_classes).double()
    by_class = (right_C + _PRIOR_ANSWERS * accuracy) / (asked_C + _PRIOR_ANSWERS)
    temperature = 1.0
    if len(labels_N) >= _LEAST_FOR_CALIBRATION:
        losses = torch.stack([F.cross_entropy(logits_NC / t, labels_N) for t in _TEMPERATURES])
        temperature = float(_TEMPERATURES[losses.argmin()])
    return Judgement(num_known=len(labels_N), accuracy=accuracy, by_class=by_class, temperature=temperature)


class TrustedSource:
    """A PredictionSource over another one, which weighs and calibrates what it knows.

    Args:
        sample_ids, labels: (N,) of all samples that may be looked up; UNKNOWN where the label is not known.
        half_life: in steps of the peer's optimizer; None lets no answer grow stale.
    """

    def __init__(
        self,
        source: PredictionSource,
        name: TrustName,
        sample_ids: torch.Tensor,
        labels: torch.Tensor,
        half_life: int | None = None,
    ) -> None:
        order = sample_ids.argsort()
        self._sample_ids, self._labels = sample_ids[order], labels[order]
        self._source = source
        self._name = name
        self._judgement: Judgement | None = None
        self._half_life = half_life
        self._newest_step = 0
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
        if self._half_life is not None:
            answered = self._source.lookup(self._sample_ids)
            self._newest_step = 0 if answered is None else int(answered.model_step.max())
        known = self._sample_ids[self._labels != UNKNOWN]
        soft = self._source.lookup(known) if len(known) else None
        if soft is not None:
            self._judgement = judge(soft.logits_NC, self._labels_of(known[soft.positions]))

    def look_ahead(self, helps: bool) -> None:
        """Say whether the distillation term helps on the validation part, or at least does not clearly harm."""
        self._scale = min(1.0, self._scale * (_UP if helps else _DOWN))

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        soft = self._source.lookup(sample_ids)
        return None if soft is None else self._weighed(soft, self._labels_of(sample_ids[soft.positions]))

    def weighed(self, soft: SoftLabels) -> SoftLabels:
        """Answers about images whose label is not known, as far as they are trusted."""
        return self._weighed(soft, torch.full_like(soft.positions, UNKNOWN))

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self._scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._scale = state["scale"]
        self.refresh()

    def _weighed(self, soft: SoftLabels, labels_M: torch.Tensor) -> SoftLabels:
        judgement = self._judgement
        calibrated = judgement is not None and self._name in ("accuracy", "class_wise")
        temperature = judgement.temperature if judgement is not None and calibrated else 1.0
        weight_M = _RULES[self._name](soft.logits_NC, labels_M, judgement)
        if self._half_life is not None:
            weight_M = weight_M * 0.5 ** ((self._newest_step - soft.model_step).clamp(min=0) / self._half_life)
        return SoftLabels(
            positions=soft.positions,
            logits_NC=soft.logits_NC / temperature,
            model_step=soft.model_step,
            weight_M=self._scale * weight_M,
        )

    def _labels_of(self, sample_ids: torch.Tensor) -> torch.Tensor:
        return self._labels[torch.searchsorted(self._sample_ids, sample_ids)]


_Rule = Callable[[torch.Tensor, torch.Tensor, Judgement | None], torch.Tensor]


def _none(logits_MC: torch.Tensor, labels_M: torch.Tensor, judgement: Judgement | None) -> torch.Tensor:
    return torch.ones(len(logits_MC))


def _argmax_gate(logits_MC: torch.Tensor, labels_M: torch.Tensor, judgement: Judgement | None) -> torch.Tensor:
    return ((labels_M == UNKNOWN) | (logits_MC.argmax(1) == labels_M)).float()


def _accuracy(logits_MC: torch.Tensor, labels_M: torch.Tensor, judgement: Judgement | None) -> torch.Tensor:
    worth = 0.0 if judgement is None else judgement.accuracy
    return _above_chance(torch.full((len(logits_MC),), worth), logits_MC.shape[1])


def _class_wise(logits_MC: torch.Tensor, labels_M: torch.Tensor, judgement: Judgement | None) -> torch.Tensor:
    if judgement is None:
        return torch.zeros(len(logits_MC))
    return _above_chance(judgement.by_class[logits_MC.argmax(1)].float(), logits_MC.shape[1])


def _above_chance(accuracy: torch.Tensor, num_classes: int) -> torch.Tensor:
    chance = 1 / num_classes
    return ((accuracy - chance) / (1 - chance)).clamp(min=0.0)


_RULES: dict[str, _Rule] = {
    "none": _none,
    "argmax_gate": _argmax_gate,
    "accuracy": _accuracy,
    "class_wise": _class_wise,
    "adaptive": _none,
}
