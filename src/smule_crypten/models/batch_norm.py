"""BatchNorm in evaluation: `y` = x * factor + offset, channel by channel (Ioffe and Szegedy, 2015).

Where a linear layer makes x, perhaps with averages in between, it is folded into that layer's weights and is free.
"""

from __future__ import annotations

import torch
from torch import nn

from smule_crypten.models import architecture as arch
from smule_crypten.models.remedies import refuse_training_state


def factor_and_offset(name: str, module: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """With the running statistics, float64 (channels,).

    Raises:
        UnshareableModelError: there are none.
    """
    if module.running_mean is None or module.running_var is None:
        raise refuse_training_state(name, module)
    factor = (module.running_var.double() + module.eps).rsqrt()
    if module.weight is not None:
        factor = factor * module.weight.detach().double()
    offset = -module.running_mean.double() * factor
    if module.bias is not None:
        offset = offset + module.bias.detach().double()
    return factor, offset


def may_stand_between(op: arch.Op) -> bool:
    """Whether op of x * factor + offset is op of x, times factor, plus offset: an average that counts no padding."""
    match op:
        case arch.AdaptiveAvgPool2d():
            return True
        case arch.AvgPool2d():
            return op.padding == (0, 0) or not op.count_include_pad
        case _:
            return False


def folded(
    weight: torch.Tensor, bias: torch.Tensor | None, factor: torch.Tensor, offset: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the linear layer before it."""
    scaled = weight * factor.reshape(-1, *[1] * (weight.dim() - 1))
    return scaled, offset if bias is None else bias * factor + offset


def as_convolution(name: str, inputs: tuple[int, ...], channels: int) -> arch.Conv2d:
    """What it is where nothing before it takes it: a 1x1 depthwise convolution, of weight factor and bias offset."""
    return arch.Conv2d(
        name=name,
        inputs=inputs,
        weight_shape=(channels, 1, 1, 1),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=channels,
        bias=True,
    )
