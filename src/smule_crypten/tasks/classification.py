"""One class per sample: softmax, cross entropy, and the divergence of softened probabilities.

A party learns from its labels and from the peer's softened predictions: Y. Zhang, T. Xiang, T. M. Hospedales, H. Lu,
"Deep Mutual Learning", CVPR 2018. Dividing logits by a temperature T shrinks the gradient of the divergence by T^2,
so the term is multiplied by T^2: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional as F

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.tasks.alarm import PeerWatch
from smule_crypten.tasks.class_shares import by_class
from smule_crypten.tasks.combination import PRIOR_SAMPLES, Combination, Rule, fit
from smule_crypten.tasks.task import PLAIN, Loss, LossTerms, Task


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Without a metric, what is kept is decided by balanced accuracy, whose standard error is known in closed form."""

    name = "classification"
    measure = "accuracy"

    def loss(self, outputs_NC: torch.Tensor, targets: torch.Tensor, terms: LossTerms = PLAIN) -> torch.Tensor:
        """Cross entropy in nats.

        Weighted samples are summed and divided by N, so that a rare one weighs the same in every batch.
        """
        smoothing = terms.label_smoothing
        if terms.log_prior_C is not None:
            one_hot_NC = F.one_hot(targets, outputs_NC.shape[1]).to(outputs_NC)
            targets_NC = (1 - smoothing) * one_hot_NC + smoothing * terms.log_prior_C.exp()
            return F.cross_entropy(outputs_NC + terms.log_prior_C, targets_NC)
        if terms.class_weight_C is None:
            return F.cross_entropy(outputs_NC, targets, label_smoothing=smoothing)
        loss_N = F.cross_entropy(outputs_NC, targets, label_smoothing=smoothing, reduction="none")
        return (terms.class_weight_C[targets] * loss_N).mean()

    def distillation(
        self,
        own_NC: torch.Tensor,
        peer_NC: torch.Tensor,
        temperature: float,
        weight_N: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """T^2 * KL(softmax(peer / T) || softmax(own / T)) in nats."""
        own_log_probabilities_NC = F.log_softmax(own_NC / temperature, dim=1)
        peer_log_probabilities_NC = F.log_softmax(peer_NC.detach() / temperature, dim=1)
        divergence_NC = F.kl_div(own_log_probabilities_NC, peer_log_probabilities_NC, reduction="none", log_target=True)
        divergence_N = divergence_NC.sum(dim=1)
        return temperature**2 * (divergence_N if weight_N is None else divergence_N * weight_N).mean()

    def terms(self, config: TrainingConfig, targets: torch.Tensor, num_outputs: int) -> LossTerms:
        """For balanced softmax each class is credited with one sample more than it has."""
        counts_C = torch.bincount(targets, minlength=num_outputs)
        log_prior_C = class_weight_C = None
        if config.balanced_softmax:
            credited_C = counts_C + 1.0
            log_prior_C = (credited_C / credited_C.sum()).log()
        if config.class_weights == "balanced":
            # The mean weight of a sample is 1; a class without any has no weight to give.
            class_weight_C = len(targets) / (counts_C.clamp(min=1) * (counts_C > 0).sum())
        return LossTerms(label_smoothing=config.label_smoothing, log_prior_C=log_prior_C, class_weight_C=class_weight_C)

    def judging_loss(self, targets: torch.Tensor, num_outputs: int) -> Loss:
        """All classes count the same, however many samples each has."""
        weight_C = 1 / torch.bincount(targets, minlength=num_outputs).clamp(min=1).float()
        return partial(F.cross_entropy, weight=weight_C)

    def predictions(self, outputs_NC: torch.Tensor) -> torch.Tensor:
        return outputs_NC.softmax(1)

    def decided(self, predictions_NC: torch.Tensor) -> torch.Tensor:
        return predictions_NC.argmax(1)

    def right(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return outputs_NC.argmax(1) == targets

    def accuracy_by_class(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> list[float | None]:
        return [hits / samples if samples else None for hits, samples in _hits_by_class(outputs_NC, targets)]

    def merit(self, predictions_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(N, 1): 1 where it is right."""
        return self.right(predictions_NC, targets).double().unsqueeze(1)

    def sample_losses(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross entropy."""
        return F.cross_entropy(outputs_NC, targets, reduction="none")

    def agreement(self, own_NC: torch.Tensor, peer_NC: torch.Tensor) -> float:
        return float((own_NC.argmax(1) == peer_NC.argmax(1)).double().mean())

    def class_counts(self, targets: torch.Tensor, num_outputs: int) -> torch.Tensor:
        return torch.bincount(targets, minlength=num_outputs)

    def fit(
        self,
        own_NC: torch.Tensor,
        peer_NC: torch.Tensor,
        targets: torch.Tensor,
        *,
        prior_samples: int = PRIOR_SAMPLES,
        balanced: bool = False,
    ) -> Combination:
        return fit(own_NC, peer_NC, targets, prior_samples=prior_samples, balanced=balanced)

    def rule(self, train: Samples, num_outputs: int, *, balanced: bool) -> Rule:
        """Class by class (class_shares.py) where all classes shall be served alike (training.balanced_softmax)."""
        return partial(by_class, class_counts_C=self.class_counts(train.targets, num_outputs)) if balanced else fit

    def watch(self, num_outputs: int, num_exchanges: int) -> PeerWatch:
        return PeerWatch(num_outputs, num_exchanges)

    def judged(self, outputs_NC: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
        return super().judged(outputs_NC, targets) if self.metric else balanced_accuracy(outputs_NC, targets)


def balanced_accuracy(outputs_NC: torch.Tensor, labels_N: torch.Tensor) -> tuple[float, float]:
    """The mean of the accuracies of all classes that occur, and its standard error.

    A party that holds few samples of a class may need it as much as the others.
    """
    rates = [(hits / n, n) for hits, n in _hits_by_class(outputs_NC, labels_N) if n]
    # One right and one wrong answer more for each class keep the error of a perfect score above zero.
    variances = [(rate * n + 1) * ((1 - rate) * n + 1) / (n + 2) ** 3 for rate, n in rates]
    return sum(rate for rate, _ in rates) / len(rates), sum(variances) ** 0.5 / len(rates)


def _hits_by_class(outputs_NC: torch.Tensor, labels_N: torch.Tensor) -> list[tuple[int, int]]:
    """Right answers and samples of each class."""
    num_classes = outputs_NC.shape[1]
    hits_N = outputs_NC.argmax(1) == labels_N
    samples_C = torch.bincount(labels_N, minlength=num_classes).tolist()
    hits_C = torch.bincount(labels_N[hits_N], minlength=num_classes).tolist()
    return list(zip(hits_C, samples_C, strict=True))


CLASSIFICATION = Classification()
