"""A convolution and the average pooling after it as one convolution, which is the same function in a third of the time.

Pooling q x q values of a convolution of stride s averages q * q shifts of its kernel, s pixels apart: the mean of the
shifted kernels, applied with stride q * s, gives the pooled values directly. Only the order of additions differs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from smule_crypten.models.modules import is_plain_call
from smule_crypten.models.torch_calls import pair


class PooledConvolution(nn.Module):
    """What pool(convolution(x)) gives; the parameters are those of convolution."""

    def __init__(self, convolution: nn.Conv2d, pool: nn.AvgPool2d) -> None:
        super().__init__()
        self.convolution = convolution
        self._window = pair(pool.kernel_size)

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        convolution, (rows, columns) = self.convolution, self._window
        stride_y, stride_x = pair(convolution.stride)
        room_y, room_x = (rows - 1) * stride_y, (columns - 1) * stride_x
        kernels = [
            F.pad(convolution.weight, (x * stride_x, room_x - x * stride_x, y * stride_y, room_y - y * stride_y))
            for y in range(rows)
            for x in range(columns)
        ]
        return F.conv2d(
            inputs_NX,
            torch.stack(kernels).mean(0),
            convolution.bias,
            stride=(rows * stride_y, columns * stride_x),
            padding=convolution.padding,
            groups=convolution.groups,
        )


def fused(model: nn.Module) -> nn.Module:
    """A network with the parameters of model that computes the same, faster where an nn.Sequential allows it.

    Modules are shared, not copied: training one trains the other. Where there is nothing to fuse, it is model itself.
    """
    if type(model) is not nn.Sequential or not is_plain_call(model):
        return model
    layers: list[nn.Module] = []
    for layer in model:
        previous = layers[-1] if layers else None
        if isinstance(previous, nn.Conv2d) and isinstance(layer, nn.AvgPool2d) and _can_be_fused(previous, layer):
            layers[-1] = PooledConvolution(previous, layer)
        else:
            layers.append(layer)
    return model if len(layers) == len(model) else nn.Sequential(*layers)


def _can_be_fused(convolution: nn.Conv2d, pool: nn.AvgPool2d) -> bool:
    plain_convolution = (
        type(convolution) is nn.Conv2d
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
        and pair(convolution.dilation) == (1, 1)
    )
    plain_pool = (
        pair(pool.stride) == pair(pool.kernel_size)
        and pair(pool.padding) == (0, 0)
        and not pool.ceil_mode
        and pool.divisor_override is None
    )
    return plain_convolution and plain_pool and is_plain_call(convolution) and is_plain_call(pool)
