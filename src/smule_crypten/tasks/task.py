"""What a task means to a party that learns: the only place that knows classes, labels and values apart.

N samples, C outputs of a network. Outputs are what a network gives (logits, or standardised values), predictions what
they say: probabilities, or values in the targets' own units. Targets are as in data/samples.py, once a party has taken
them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.metric_names import METRIC_FACTS, PRIMARY, TaskName
from smule_crypten.tasks.alarm import Watch
from smule_crypten.tasks.combination import PRIOR_SAMPLES, Combination, Rule
from smule_crypten.tasks.metrics import METRICS, Prediction
from smule_crypten.tasks.resampling import LEAST_RESAMPLES, resampled, weights

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From outputs (N, C) and targets to a scalar."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LossTerms:
    """What changes the loss of the labels, for all samples of a party alike.

    label_smoothing: share of the uniform distribution in each label. log_prior_C: as in training/losses.py.
    class_weight_C: how much each class counts, or each label where a sample has it; None for 1.
    """

    label_smoothing: float = 0.0
    log_prior_C: torch.Tensor | None = None
    class_weight_C: torch.Tensor | None = None


PLAIN = LossTerms()


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """metric: the one that decides which network is kept; None for the task's own."""

    metric: str | None = None
    name: ClassVar[TaskName]
    measure: ClassVar[str]
    """What the mean of merit is called, or of what is taken off in it."""

    @property
    def primary(self) -> str:
        """The metric by which a network is judged, as people read it."""
        return self.metric or PRIMARY[self.name]

    @abstractmethod
    def loss(self, outputs_NC: torch.Tensor, targets: torch.Tensor, terms: LossTerms = PLAIN) -> torch.Tensor:
        """Of the targets, a scalar: the mean over the N >= 1 samples."""

    @abstractmethod
    def distillation(
        self,
        own_NC: torch.Tensor,
        peer_NC: torch.Tensor,
        temperature: float,
        weight_N: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """How far the party's own outputs are from the peer's: mean over the N >= 1 samples, each times its weight.

        The peer's outputs are targets: no gradient flows into them.
        """

    def terms(self, config: TrainingConfig, targets: torch.Tensor, num_outputs: int) -> LossTerms:
        """Of a training on these targets."""
        return LossTerms()

    def judging_loss(self, targets: torch.Tensor, num_outputs: int) -> Loss:
        """By which parts of a validation part with these targets judge a step."""
        return self.loss

    def plausible(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(N,) bool: which of a peer's outputs can be, beside own targets that are known; there may be none.

        All of them where the loss of soft labels bounds what one of them does.
        """
        return torch.ones(len(outputs_NC), dtype=torch.bool)

    def taken(self, samples: Samples) -> Samples:
        """Samples of a data set as a party learns from them."""
        return samples

    def in_own_units(self, targets: torch.Tensor) -> torch.Tensor:
        """Targets of taken samples as the data set has them."""
        return targets

    @abstractmethod
    def predictions(self, outputs_NC: torch.Tensor) -> torch.Tensor:
        """(N, C)."""

    @abstractmethod
    def decided(self, predictions_NC: torch.Tensor) -> torch.Tensor:
        """The most probable class (N,), 0 or 1 for each label (N, C), or the values (N, C)."""

    @abstractmethod
    def right(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor | None:
        """(N,), 0 to 1: is the class right, or which share of the labels? None where nothing is right or wrong."""

    def hits(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Sum of `right`, on the device; 0 where nothing is right or wrong."""
        right_N = self.right(outputs_NC, targets)
        return outputs_NC.new_zeros(()) if right_N is None else right_N.sum()

    def accuracy(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> float | None:
        """Mean of `right`."""
        right_N = self.right(outputs_NC, targets)
        return None if right_N is None else float(right_N.double().mean())

    @abstractmethod
    def accuracy_by_class(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> list[float | None]:
        """Of each class, None where it has no sample; of each label; empty where nothing is right or wrong."""

    @abstractmethod
    def merit(self, predictions_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(N, k) float64, higher is better: how good each prediction is, for each output where that can be told."""

    @abstractmethod
    def sample_losses(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(N,): the plain loss of each sample, in nats, or squared errors; the mean over several outputs."""

    @abstractmethod
    def agreement(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> float | None:
        """How often two networks say the same; None where they never say exactly that."""

    @abstractmethod
    def class_counts(self, targets: torch.Tensor, num_outputs: int) -> torch.Tensor:
        """Samples of each class, or with each label, int64; empty where there are none of either."""

    @abstractmethod
    def fit(
        self,
        own_NC: torch.Tensor,
        peer_NC: torch.Tensor,
        targets: torch.Tensor,
        *,
        prior_samples: int = PRIOR_SAMPLES,
        balanced: bool = False,
    ) -> Combination:
        """How two networks' outputs become one prediction that suits these targets; as combination.fit."""

    def rule(self, train: Samples, num_outputs: int, *, balanced: bool) -> Rule:
        """How a network that was trained on these samples, and its peer, predict together."""
        return self.fit

    @abstractmethod
    def watch(self, num_outputs: int, num_exchanges: int) -> Watch | None:
        """What tests the peer's answers on samples of known label; None where no test can tell honest from not."""

    def value(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> float | None:
        """The primary metric, in own units; None where it is not defined."""
        if len(outputs_NC) == 0:
            return None
        prediction = self.prediction(outputs_NC, targets)
        return METRICS[self.primary](prediction.outputs_NC, prediction.targets)

    def judged(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
        """How good a network is by the metric that decides which is kept, higher is better, and its standard error.

        The error is that of the bootstrap (resampling.py), whose draws are always the same. A metric that is not
        defined counts as worst, without an error, so that of such networks the last one is kept.
        """
        value = self.value(outputs_NC, targets)
        if value is None:
            return -math.inf, 0.0
        drawn = weights(len(outputs_NC), LEAST_RESAMPLES)
        values_B = resampled(self.prediction(outputs_NC, targets), [self.primary], drawn).metrics[self.primary]
        sign = 1 if METRIC_FACTS[self.primary].higher_is_better else -1
        return sign * value, float(np.nanstd(values_B))

    def prediction(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> Prediction:
        """What the metrics take."""
        predictions_NC = self.predictions(outputs_NC.detach().cpu()).double().numpy()
        return Prediction(task=self.name, outputs_NC=predictions_NC, targets=self.in_own_units(targets.cpu()).numpy())
