"""One step ahead: would the distillation term lower the loss on the validation part?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from smule_crypten.models.modules import evaluation_mode
from smule_crypten.training.losses import distillation_loss

_PARTS = 8


def distillation_harms(
    model: nn.Module,
    validation: tuple[torch.Tensor, torch.Tensor],
    answered: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    temperature: float,
) -> bool:
    """Whether a small step along the distillation gradient clearly raises the cross entropy on the validation samples.

    To first order the loss changes by less the inner product of the two gradients. Both sets are cut into the same
    number of parts; each pair of parts gives one inner product, and their mean must lie below zero by more than twice
    its standard error: near the end of a training both gradients are mostly noise. The model is left as it was.

    Args:
        validation: images and labels.
        answered: images, logits of the soft labels and their weights.
    """
    parts = min(_PARTS, len(validation[1]), len(answered[1]))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if parts < 2 or not parameters:
        return False
    class_weights = _class_weights(validation[1], answered[1].shape[1])
    products = []
    with evaluation_mode(model):
        for (images_V, labels_V), (images_M, logits_MC, weight_M) in zip(
            _cut(validation, parts), _cut(answered, parts), strict=True
        ):
            own = _gradient(F.cross_entropy(model(images_V), labels_V, class_weights), parameters)
            peer = _gradient(distillation_loss(model(images_M), logits_MC, temperature, weight_M), parameters)
            products.append(sum((a * b).sum() for a, b in zip(own, peer, strict=True)))
    products_P = torch.stack([torch.as_tensor(product) for product in products])
    return bool(products_P.mean() + 2 * products_P.std() / parts**0.5 < 0)


def _cut(tensors: Sequence[torch.Tensor], parts: int) -> list[tuple[torch.Tensor, ...]]:
    return list(zip(*(tensor.tensor_split(parts) for tensor in tensors), strict=True))


def _class_weights(labels_V: torch.Tensor, num_classes: int) -> torch.Tensor:
    """All classes count the same, however many samples each has."""
    return 1 / torch.bincount(labels_V, minlength=num_classes).clamp(min=1).float()


def _gradient(loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
