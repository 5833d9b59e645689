"""One or more numbers per sample: squared errors of values that public constants have brought to one scale.

No softmax bounds a peer's answer here, nor the gradient of a squared error. So answers far outside of the party's
targets are not kept, and of those that are, an error beyond two standard deviations counts linearly: a single answer
cannot outweigh a batch.

Of several targets the errors are summed, so that each learns as it would alone (multilabel.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError
from smule_crypten.tasks.combination import LEAST_FOR_FIT, PRIOR_SAMPLES, Combination, LinearCombination, drawn_to_half
from smule_crypten.tasks.task import PLAIN, LossTerms, Task

LINEAR_FROM = 2.0
"""Beyond this difference to a peer's value, in standard deviations of the targets, its gradient grows no more."""
WIDENED_BY = 1.0
"""A peer's value may lie outside the range of the party's targets by so many times its width: it may know others."""
_LEAST_WIDTH = 1.0
"""Of that range, in standard deviations: few targets may be alike by chance."""
_LARGEST_UNKNOWN = 10.0
"""The largest value of a peer, in standard deviations, where no own target is known."""


@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """Outputs and taken targets (N, C) are (value - mean) / std.

    mean and std, positive, are in the targets' own units: one for all targets, or one each.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    name = "regression"
    measure = "mean absolute error"

    def loss(self, outputs_NC: torch.Tensor, targets: torch.Tensor, terms: LossTerms = PLAIN) -> torch.Tensor:
        """Mean squared error of standardised values, summed over the targets."""
        return (outputs_NC - targets).square().sum(dim=1).mean()

    def distillation(
        self,
        own_NC: torch.Tensor,
        peer_NC: torch.Tensor,
        temperature: float,
        weight_N: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mean squared difference, linear beyond LINEAR_FROM (Huber), summed over the targets.

        There is nothing that a temperature could soften.
        """
        difference_N = 2 * F.huber_loss(own_NC, peer_NC.detach(), reduction="none", delta=LINEAR_FROM).sum(dim=1)
        return (difference_N if weight_N is None else difference_N * weight_N).mean()

    def plausible(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Within the range of the party's targets, widened by its own width at both ends: for every target."""
        targets = targets[targets.isfinite().all(dim=1)]
        if len(targets) == 0:
            return (outputs_NC.abs() <= _LARGEST_UNKNOWN).all(dim=1)
        low_C, high_C = targets.amin(dim=0), targets.amax(dim=0)
        room_C = WIDENED_BY * (high_C - low_C).clamp(min=_LEAST_WIDTH)
        return ((outputs_NC >= low_C - room_C) & (outputs_NC <= high_C + room_C)).all(dim=1)

    def taken(self, samples: Samples) -> Samples:
        """Standardised.

        Raises:
            ConfigError: mean or std has another number of values than there are targets.
        """
        count = samples.targets.shape[1]
        for key, values in (("target_mean", self.mean), ("target_std", self.std)):
            if len(values) not in (1, count):
                raise ConfigError(
                    f"data.{key}: {len(values)} values for {count} target(s); give one for all or one each"
                )
        return samples.with_targets((samples.targets - torch.tensor(self.mean)) / torch.tensor(self.std))

    def in_own_units(self, targets: torch.Tensor) -> torch.Tensor:
        return targets * torch.tensor(self.std).to(targets) + torch.tensor(self.mean).to(targets)

    def predictions(self, outputs_NC: torch.Tensor) -> torch.Tensor:
        return self.in_own_units(outputs_NC)

    def decided(self, predictions_NC: torch.Tensor) -> torch.Tensor:
        return predictions_NC

    def right(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> None:
        return None

    def accuracy_by_class(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> list[float | None]:
        return []

    def merit(self, predictions_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(N, C): minus the absolute error, in own units."""
        return -(predictions_NC - self.in_own_units(targets)).abs().double()

    def sample_losses(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Squared errors of standardised values."""
        return (outputs_NC - targets).square().mean(dim=1)

    def agreement(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> None:
        return None

    def class_counts(self, targets: torch.Tensor, num_outputs: int) -> torch.Tensor:
        return torch.empty(0, dtype=torch.int64)

    def fit(
        self,
        own_NC: torch.Tensor,
        peer_NC: torch.Tensor,
        targets: torch.Tensor,
        *,
        prior_samples: int = PRIOR_SAMPLES,
        balanced: bool = False,
    ) -> Combination:
        """The weight of the party's own outputs, 0 to 1, of the least squared error: it has a closed form."""
        if len(targets) < LEAST_FOR_FIT:
            return LinearCombination(mean=self.mean, std=self.std)
        between_NC = own_NC - peer_NC
        best = float(((targets - peer_NC) * between_NC).sum() / between_NC.square().sum().clamp(min=1e-12))
        own_weight = drawn_to_half(min(1.0, max(0.0, best)), len(targets), prior_samples)
        return LinearCombination(num_known=len(targets), own_weight=own_weight, mean=self.mean, std=self.std)

    def watch(self, num_outputs: int, num_exchanges: int) -> None:
        """An honest network may be off by any amount, in any direction."""
        return None
