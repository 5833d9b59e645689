"""One step ahead: would the distillation term lower the loss on the validation part?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from smule_crypten.training.evaluate import evaluation_mode
from smule_crypten.training.losses import distillation_loss


def distillation_helps(
    model: nn.Module,
    validation: tuple[torch.Tensor, torch.Tensor],
    answered: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    temperature: float,
) -> bool:
    """Whether a small step along the distillation gradient lowers the cross entropy on the validation samples.

    To first order the loss changes by less the inner product of the two gradients. The model is left as it was.

    Args:
        validation: images and labels.
        answered: images, the peer's logits and their weights.
    """
    images_V, labels_V = validation
    images_M, logits_MC, weight_M = answered
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with evaluation_mode(model):
        logits_VC = model(images_V)
        own = _gradient(F.cross_entropy(logits_VC, labels_V, _class_weights(logits_VC, labels_V)), parameters)
        peer = _gradient(distillation_loss(model(images_M), logits_MC, temperature, weight_M), parameters)
    return float(sum((a * b).sum() for a, b in zip(own, peer, strict=True))) > 0


def _class_weights(logits_VC: torch.Tensor, labels_V: torch.Tensor) -> torch.Tensor:
    """All classes count the same, however many samples each has."""
    counts = torch.bincount(labels_V, minlength=logits_VC.shape[1])
    return 1 / counts.clamp(min=1).to(logits_VC)


def _gradient(loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(loss, parameters)
