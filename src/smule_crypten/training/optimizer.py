"""The optimizer and its learning-rate schedule."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from smule_crypten.config.sections import OptimizerConfig


def build_optimizer(model: nn.Module, config: OptimizerConfig, total_steps: int) -> tuple[Optimizer, LRScheduler]:
    """Optimizer over all parameters of model, or over nothing where it has none, and a schedule.

    The schedule is to be stepped after each of total_steps steps.

    momentum is SGD's Nesterov momentum, or AdamW's first decay rate. one_cycle rises to learning_rate and falls to
    almost nothing, cosine falls from learning_rate to zero.
    """
    optimizer = _build_bare_optimizer(list(model.parameters()) or [torch.zeros(0)], config)
    return optimizer, _build_scheduler(optimizer, config, total_steps)


def _build_bare_optimizer(parameters: list[torch.Tensor], config: OptimizerConfig) -> Optimizer:
    if config.name == "adamw":
        betas = (config.momentum, 0.999)
        return AdamW(parameters, lr=config.learning_rate, betas=betas, weight_decay=config.weight_decay)
    return SGD(
        parameters,
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.momentum > 0,  # PyTorch refuses Nesterov without momentum
        weight_decay=config.weight_decay,
    )


def _build_scheduler(optimizer: Optimizer, config: OptimizerConfig, total_steps: int) -> LRScheduler:
    if config.schedule == "one_cycle":
        # The momentum stays what the user set; PyTorch would cycle it too.
        return OneCycleLR(optimizer, max_lr=config.learning_rate, total_steps=total_steps, cycle_momentum=False)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total_steps)
    return ConstantLR(optimizer, factor=1.0, total_iters=0)
