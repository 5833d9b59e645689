"""One or more numbers a sample: squared errors of values that public constants have brought to one scale.

Of several targets the errors are summed, so that each learns as it would alone (multilabel.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError
from smule_crypten.tasks.combination import LEAST_FOR_FIT, PRIOR_SAMPLES, Combination, LinearCombination, drawn_to_half
from smule_crypten.tasks.task import PLAIN, LossTerms, Task


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
        """Mean squared difference, summed over the targets; there is nothing that a temperature could soften."""
        difference_N = (own_NC - peer_NC.detach()).square().sum(dim=1)
        return (difference_N if weight_N is None else difference_N * weight_N).mean()

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
        return replace(samples, targets=(samples.targets - torch.tensor(self.mean)) / torch.tensor(self.std))

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
        """The own weight, 0 to 1, of the least squared error: it has a closed form."""
        if len(targets) < LEAST_FOR_FIT:
            return LinearCombination(mean=self.mean, std=self.std)
        between_NC = own_NC - peer_NC
        best = float(((targets - peer_NC) * between_NC).sum() / between_NC.square().sum().clamp(min=1e-12))
        own_weight = drawn_to_half(min(1.0, max(0.0, best)), len(targets), prior_samples)
        return LinearCombination(num_known=len(targets), own_weight=own_weight, mean=self.mean, std=self.std)

    def watch(self, num_outputs: int, num_exchanges: int) -> None:
        """An honest network may be off by any amount, in any direction."""
        return None
