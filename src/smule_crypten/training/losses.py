"""The loss of mutual learning.

A party learns from its labels and from the peer's softened predictions: Y. Zhang, T. Xiang, T. M. Hospedales, H. Lu,
"Deep Mutual Learning", CVPR 2018. Dividing logits by a temperature T shrinks the gradient of the divergence by T^2,
so the term is multiplied by T^2: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from smule_crypten.types import SoftLabels


def distillation_loss(
    own_logits_NC: torch.Tensor,
    peer_logits_NC: torch.Tensor,
    temperature: float,
    weight_N: torch.Tensor | None = None,
) -> torch.Tensor:
    """T^2 * KL(softmax(peer / T) || softmax(own / T)) in nats, mean over the N >= 1 samples, each times its weight.

    The peer's logits are targets: no gradient flows into them.
    """
    own_log_probabilities_NC = F.log_softmax(own_logits_NC / temperature, dim=1)
    peer_log_probabilities_NC = F.log_softmax(peer_logits_NC.detach() / temperature, dim=1)
    divergence_NC = F.kl_div(own_log_probabilities_NC, peer_log_probabilities_NC, reduction="none", log_target=True)
    divergence_N = divergence_NC.sum(dim=1)
    return temperature**2 * (divergence_N if weight_N is None else divergence_N * weight_N).mean()


def mutual_loss(
    logits_NC: torch.Tensor,
    labels_N: torch.Tensor,
    soft: SoftLabels | None,
    *,
    temperature: float,
    distillation_weight: float,
    label_smoothing: float = 0.0,
    log_prior_C: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy plus distillation_weight times the distillation loss on the samples that have a soft label.

    Where only M of the N samples have a soft label, their divergences are summed and divided by N, not by M: a
    soft label weighs the same in every batch, however many others came with it.

    Args:
        logits_NC: of the network in training.
        labels_N: class indices, int64.
        soft: what is known of these samples; None for nothing.
        temperature: softens both sides of the distillation loss.
        distillation_weight: of the soft labels beside the labels.
        label_smoothing: share of the uniform distribution that is mixed into the labels.
        log_prior_C: logarithm of the classes' shares. Logits plus it explain the labels, so that the logits themselves
            take all classes for equally frequent (J. Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual
            Recognition", NeurIPS 2020); labels are then mixed with these shares, since a uniform part would ask for
            many answers of a class that hardly occurs. None for none.

    Returns:
        The loss in nats (to differentiate) and its distillation part without the weight (detached), scalars.

    Example:
        >>> import torch, smule_crypten as smule
        >>> logits, labels = torch.zeros(2, 4), torch.tensor([0, 3])
        >>> loss, distillation = smule.mutual_loss(logits, labels, None, temperature=2.0, distillation_weight=1.0)
        >>> f"{loss:.3f} {distillation:.3f}"
        '1.386 0.000'
    """
    cross_entropy = _cross_entropy(logits_NC, labels_N, label_smoothing, log_prior_C)
    if soft is None or len(soft.positions) == 0:
        return cross_entropy, cross_entropy.new_zeros(())
    asked_logits_MC = logits_NC[soft.positions.to(logits_NC.device)]
    share = len(soft.positions) / len(logits_NC)
    weight_M = None if soft.weight_M is None else soft.weight_M.to(logits_NC)
    distillation = share * distillation_loss(asked_logits_MC, soft.logits_NC.to(logits_NC), temperature, weight_M)
    return cross_entropy + distillation_weight * distillation, distillation.detach()


def _cross_entropy(
    logits_NC: torch.Tensor, labels_N: torch.Tensor, label_smoothing: float, log_prior_C: torch.Tensor | None
) -> torch.Tensor:
    if log_prior_C is None:
        return F.cross_entropy(logits_NC, labels_N, label_smoothing=label_smoothing)
    one_hot_NC = F.one_hot(labels_N, logits_NC.shape[1]).to(logits_NC)
    targets_NC = (1 - label_smoothing) * one_hot_NC + label_smoothing * log_prior_C.exp()
    return F.cross_entropy(logits_NC + log_prior_C, targets_NC)
