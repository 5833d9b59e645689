"""The loss of mutual learning: that of the labels, and that of the peer's soft labels (tasks/)."""

from __future__ import annotations

import torch

from smule_crypten.metric_names import TaskName
from smule_crypten.tasks.by_name import as_task
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.task import LossTerms, Task
from smule_crypten.types import SoftLabels


def mutual_loss(
    outputs_NC: torch.Tensor,
    targets: torch.Tensor,
    soft: SoftLabels | None,
    *,
    temperature: float,
    distillation_weight: float,
    label_smoothing: float = 0.0,
    log_prior_C: torch.Tensor | None = None,
    class_weight_C: torch.Tensor | None = None,
    task: Task | TaskName = CLASSIFICATION,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of the task plus distillation_weight times the distillation loss on the samples that have a soft label.

    Where only M of the N samples have a soft label, their distances are summed and divided by N, not by M: a
    soft label weighs the same in every batch, however many others came with it.

    Args:
        outputs_NC: of the network in training; logits, of a classification.
        targets: class indices (N,), int64, or what the task has in their place.
        soft: what is known of these samples; None for nothing.
        temperature: softens both sides of the distillation loss.
        distillation_weight: of the soft labels beside the labels.
        label_smoothing: share of the uniform distribution that is mixed into the labels.
        log_prior_C: logarithm of the classes' shares. Logits plus it explain the labels, so that the logits themselves
            take all classes for equally frequent (J. Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual
            Recognition", NeurIPS 2020); labels are then mixed with these shares, since a uniform part would ask for
            many answers of a class that hardly occurs. None for none.
        class_weight_C: how much each class counts, or each label where a sample has it; None for 1.
        task: what is learned: classification, multilabel or regression.

    Returns:
        The loss (to differentiate; of classes in nats) and its distillation part without the weight (detached),
        scalars.

    Example:
        >>> import torch, smule_crypten as smule
        >>> logits, labels = torch.zeros(2, 4), torch.tensor([0, 3])
        >>> loss, distillation = smule.mutual_loss(logits, labels, None, temperature=2.0, distillation_weight=1.0)
        >>> f"{loss:.3f} {distillation:.3f}"
        '1.386 0.000'
    """
    task = as_task(task)
    terms = LossTerms(label_smoothing=label_smoothing, log_prior_C=log_prior_C, class_weight_C=class_weight_C)
    loss = task.loss(outputs_NC, targets, terms)
    if soft is None or len(soft.positions) == 0:
        return loss, loss.new_zeros(())
    asked_MC = outputs_NC[soft.positions.to(outputs_NC.device)]
    share = len(soft.positions) / len(outputs_NC)
    weight_M = None if soft.weight_M is None else soft.weight_M.to(outputs_NC)
    distillation = share * task.distillation(asked_MC, soft.logits_NC.to(outputs_NC), temperature, weight_M)
    return loss + distillation_weight * distillation, distillation.detach()
