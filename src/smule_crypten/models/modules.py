"""Looking at a network without changing it: in evaluation mode, or as a copy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch every module to evaluation, and back to the mode that each had."""
    training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, flag in training:
            module.training = flag


def copied(model: nn.Module) -> nn.Module:
    """A copy that shares no tensor with model.

    Modules keep results of computations as attributes, such as the weight of torch.nn.utils.weight_norm. PyTorch does
    not copy those, so they come without their history; whatever computes them does so again.
    """
    computed = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    return copy.deepcopy(model, computed)


def device_of(model: nn.Module) -> torch.device:
    """Where its parameters lie; the CPU where it has none, and no buffers either."""
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))


def has_trainable(model: nn.Module) -> bool:
    """Whether there is anything to train; a finished network may have all its parameters frozen, or none at all."""
    return any(parameter.requires_grad for parameter in model.parameters())


def is_plain_call(module: nn.Module) -> bool:
    """Whether calling module runs the forward function of its class and nothing else."""
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return not any(hooks) and "forward" not in vars(module)
