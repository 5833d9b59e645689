"""Several labels, each of which a sample has or has not: a sigmoid and a binary cross entropy for each.

Losses are sums over the labels, not means: each label then learns as it would alone. A mean would take a step of each
that is smaller the more labels there are: ten of them learned next to nothing with the learning rate of a
classification (digits in pairs, 30 epochs: AUROC 0.52 with the mean, 0.91 with the sum). What labels and soft labels
count beside each other is the same for any number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.tasks.alarm_labels import LabelWatch
from smule_crypten.tasks.combination import PRIOR_SAMPLES, Combination, LabelCombination, fit_calibrated
from smule_crypten.tasks.task import PLAIN, LossTerms, Task


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Task):
    """Targets (N, C) are 0 and 1."""

    name = "multilabel"
    measure = "share of labels right"

    def loss(self, outputs_NC: torch.Tensor, targets: torch.Tensor, terms: LossTerms = PLAIN) -> torch.Tensor:
        """Binary cross entropy in nats, summed over the labels."""
        smoothed_NC = (1 - terms.label_smoothing) * targets + terms.label_smoothing / 2
        weight_C = terms.class_weight_C
        loss_NC = F.binary_cross_entropy_with_logits(outputs_NC, smoothed_NC, pos_weight=weight_C, reduction="none")
        return loss_NC.sum(dim=1).mean()

    def distillation(
        self,
        own_NC: torch.Tensor,
        peer_NC: torch.Tensor,
        temperature: float,
        weight_N: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """T^2 * KL(sigmoid(peer / T) || sigmoid(own / T)) in nats, summed over the labels."""
        own_NC, peer_NC = own_NC / temperature, peer_NC.detach() / temperature
        divergence_NC = peer_NC.sigmoid() * (F.logsigmoid(peer_NC) - F.logsigmoid(own_NC))
        divergence_NC = divergence_NC + (-peer_NC).sigmoid() * (F.logsigmoid(-peer_NC) - F.logsigmoid(-own_NC))
        divergence_N = divergence_NC.sum(dim=1)
        return temperature**2 * (divergence_N if weight_N is None else divergence_N * weight_N).mean()

    def terms(self, config: TrainingConfig, targets: torch.Tensor, num_outputs: int) -> LossTerms:
        """Balanced: samples with a label count together as much as those without; where one of both is missing, 1."""
        class_weight_C = None
        if config.class_weights == "balanced":
            with_C = targets.sum(dim=0)
            without_C = len(targets) - with_C
            class_weight_C = torch.where((with_C > 0) & (without_C > 0), without_C / with_C.clamp(min=1), 1.0)
        return LossTerms(label_smoothing=config.label_smoothing, class_weight_C=class_weight_C)

    def predictions(self, outputs_NC: torch.Tensor) -> torch.Tensor:
        return outputs_NC.sigmoid()

    def decided(self, predictions_NC: torch.Tensor) -> torch.Tensor:
        return (predictions_NC >= 0.5).long()

    def right(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return ((outputs_NC >= 0) == (targets == 1)).to(outputs_NC).mean(dim=1)

    def accuracy_by_class(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> list[float | None]:
        return list(((outputs_NC >= 0) == (targets == 1)).double().mean(dim=0).tolist())

    def merit(self, predictions_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(N, C): 1 where a label is right."""
        return ((predictions_NC >= 0.5) == (targets == 1)).double()

    def sample_losses(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Binary cross entropy."""
        return F.binary_cross_entropy_with_logits(outputs_NC, targets, reduction="none").mean(dim=1)

    def agreement(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> float:
        return float(((own_NC >= 0) == (peer_NC >= 0)).double().mean())

    def class_counts(self, targets: torch.Tensor, num_outputs: int) -> torch.Tensor:
        return (targets == 1).sum(dim=0)

    def fit(
        self,
        own_NC: torch.Tensor,
        peer_NC: torch.Tensor,
        targets: torch.Tensor,
        *,
        prior_samples: int = PRIOR_SAMPLES,
        balanced: bool = False,
    ) -> Combination:
        """One temperature and one weight for all labels: of a rare one, the held-out samples tell too little."""
        return fit_calibrated(
            LabelCombination(), own_NC, peer_NC, targets, F.binary_cross_entropy_with_logits, _loss, prior_samples
        )

    def watch(self, num_outputs: int, num_exchanges: int) -> LabelWatch:
        return LabelWatch(num_outputs, num_exchanges)


def _loss(probabilities_NC: torch.Tensor, targets: torch.Tensor) -> float:
    return float(F.binary_cross_entropy(probabilities_NC, targets))


MULTILABEL = MultiLabel()
