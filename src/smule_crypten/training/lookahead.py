"""One step ahead: would the distillation term lower the loss on the validation part?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from smule_crypten.models.modules import evaluation_mode
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.task import Task

_PARTS = 8


def distillation_harms(
    model: nn.Module,
    validation: tuple[torch.Tensor, torch.Tensor],
    answered: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    temperature: float,
    task: Task = CLASSIFICATION,
) -> bool:
    """Whether a small step along the distillation gradient clearly raises the loss on the validation samples.

    To first order the loss changes by less the inner product of the two gradients. Both sets are cut into the same
    number of parts; each pair of parts gives one inner product, and their mean must lie below zero by more than twice
    its standard error: near the end of a training both gradients are mostly noise. The model is left as it was.

    Args:
        validation: inputs and targets.
        answered: inputs, outputs of the soft labels and their weights.
    """
    parts = min(_PARTS, len(validation[1]), len(answered[1]))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if parts < 2 or not parameters:
        return False
    judging_loss = task.judging_loss(validation[1], answered[1].shape[1])
    products = []
    with evaluation_mode(model):
        for (inputs_V, targets_V), (inputs_M, outputs_MC, weight_M) in zip(
            _cut(validation, parts), _cut(answered, parts), strict=True
        ):
            own = _gradient(judging_loss(model(inputs_V), targets_V), parameters)
            distance = task.distillation(model(inputs_M), outputs_MC, temperature, weight_M)
            peer = _gradient(distance, parameters)
            products.append(sum((a * b).sum() for a, b in zip(own, peer, strict=True)))
    products_P = torch.stack([torch.as_tensor(product) for product in products])
    return bool(products_P.mean() + 2 * products_P.std() / parts**0.5 < 0)


def _cut(tensors: Sequence[torch.Tensor], parts: int) -> list[tuple[torch.Tensor, ...]]:
    return list(zip(*(tensor.tensor_split(parts) for tensor in tensors), strict=True))


def _gradient(loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
