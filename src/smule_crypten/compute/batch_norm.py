"""Batch normalization over the whole batch, of which each process has a part.

PyTorch's SyncBatchNorm does the same on GPUs only, and in place of the layers of a network, which has to stay what it
is: it is translated for secure inference and saved. Here only the calls in a training step are other ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Total = Callable[[torch.Tensor], torch.Tensor]
"""The sum over all processes, the same at each."""


class _Summed(torch.autograd.Function):
    """A Total that gradients pass through: what each process adds counts in the losses of all of them."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, total: Total) -> torch.Tensor:
        ctx.total = total
        return total(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.total(gradients[0]), None


def normalizes_batches(network: nn.Module) -> bool:
    return any(isinstance(module, _BatchNorm) for module in network.modules())


@contextmanager
def over_all_parts(network: nn.Module, total: Total) -> Iterator[None]:
    """Within, the layers of network normalize over the parts of all processes."""
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    for layer in layers:
        vars(layer)["forward"] = partial(_normalized, layer, total)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


def _normalized(layer: _BatchNorm, total: Total, inputs_NCX: torch.Tensor) -> torch.Tensor:
    """Mean and variance first, each of all parts, then as nn.BatchNorm; in float32 whatever comes in."""
    if not layer.training:
        outputs_NCX: torch.Tensor = type(layer).forward(layer, inputs_NCX)
        return outputs_NCX
    values_NCX = inputs_NCX.float()
    axes = [axis for axis in range(values_NCX.dim()) if axis != 1]
    shape = [1, -1, *[1] * (values_NCX.dim() - 2)]
    own_count = values_NCX.new_tensor([values_NCX.numel() / values_NCX.shape[1]])
    summed = _sum(torch.cat([values_NCX.sum(axes), own_count]), total)
    count = summed[-1]
    mean_C = summed[:-1] / count
    centred_NCX = values_NCX - mean_C.view(shape)
    variance_C = _sum(centred_NCX.square().sum(axes), total) / count
    _track(layer, mean_C.detach(), (variance_C * count / (count - 1).clamp(min=1)).detach())
    outputs_NCX = centred_NCX * (variance_C + layer.eps).rsqrt().view(shape)
    if layer.affine:
        outputs_NCX = outputs_NCX * layer.weight.view(shape) + layer.bias.view(shape)
    return outputs_NCX.to(inputs_NCX.dtype)


def _sum(values: torch.Tensor, total: Total) -> torch.Tensor:
    summed: torch.Tensor = _Summed.apply(values, total)  # type: ignore[no-untyped-call]
    return summed


def _track(layer: _BatchNorm, mean_C: torch.Tensor, variance_C: torch.Tensor) -> None:
    if layer.running_mean is None or layer.running_var is None or layer.num_batches_tracked is None:
        return
    layer.num_batches_tracked.add_(1)
    weight = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean_C, weight)
    layer.running_var.lerp_(variance_C, weight)
