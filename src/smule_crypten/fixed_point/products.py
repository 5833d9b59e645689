"""Convolutions and matrix products in the ring of 2^64 elements; a result modulo 2^k is its low k bits.

PyTorch multiplies int64 exactly, modulo 2^64, on the CPU, no slower than float64. Other devices do not convolve
integers at all, so there the factors are cut into limbs of 16 bits and multiplied in float64, whose sums stay exact
below 2^53: two limbs and a fan-in below 2^21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F

from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import SumPool

LIMB_BITS = 16
MAX_FAN_IN = 1 << (53 - 2 * LIMB_BITS)
_Bilinear = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def multiply(
    op: arch.WeightedOp, x: torch.Tensor, weight: torch.Tensor, pool: SumPool | None = None, ring: int = 64
) -> torch.Tensor:
    """L_W(x): the operation without its bias, then the sums of pool; int64, right modulo 2^ring.

    Args:
        x: int64 (N, C, H, W) or (N, features).
        weight: int64 of op.weight_shape.
    """
    if isinstance(op, arch.Linear):
        return _ring_product(F.linear, x, weight, ring)
    stride = op.stride
    if pool is not None and folds(op, pool):
        assert isinstance(pool.op, arch.AvgPool2d)
        weight = folded(weight, op.stride, pool.op.kernel)
        stride = (op.stride[0] * pool.op.kernel[0], op.stride[1] * pool.op.kernel[1])
        pool = None

    def convolve(images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return F.conv2d(images, kernel, None, stride, op.padding, op.dilation, op.groups)

    result = _ring_product(convolve, x, weight, ring)
    return result if pool is None else pool.sums(result)


def multiplies_integers(device: torch.device) -> bool:
    """Whether PyTorch multiplies and convolves int64 there."""
    return device.type == "cpu"


def _ring_product(bilinear: _Bilinear, x: torch.Tensor, weight: torch.Tensor, ring: int) -> torch.Tensor:
    return bilinear(x, weight) if multiplies_integers(x.device) else limb_product(bilinear, x, weight, ring)


@contextmanager
def exact_sums() -> Iterator[None]:
    """Convolutions in float64 are sums of products here, exact in any order while these are integers below 2^53.

    cuDNN might transform factors before it multiplies them, and its choice would round; PyTorch's own kernels do not.
    Nothing but that switch is read or set: `cudnn.flags` reads all others, too, and raises where a program has chosen
    a precision for convolutions alone.
    """
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before


def limb_product(bilinear: _Bilinear, x: torch.Tensor, weight: torch.Tensor, ring: int = 64) -> torch.Tensor:
    """The same by float64: sums over limbs of x_i * w_j * 2^(16 (i + j)), but for those that fall out of the ring.

    Raises:
        ValueError: a sum over more than MAX_FAN_IN products, which float64 could round.
    """
    fan_in = weight[0].numel()
    if fan_in > MAX_FAN_IN:
        raise ValueError(f"a fan-in of {fan_in} is more than {MAX_FAN_IN}, up to which float64 sums of limbs are exact")
    x_limbs, weight_limbs = _limbs(x, ring), _limbs(weight, ring)
    total: torch.Tensor | None = None
    with exact_sums():
        for i, x_limb in enumerate(x_limbs):
            for j, weight_limb in enumerate(weight_limbs):
                if LIMB_BITS * (i + j) >= ring:
                    continue
                part = bilinear(x_limb, weight_limb).long() << (LIMB_BITS * (i + j))
                total = part if total is None else total + part
    assert total is not None
    return total


def _limbs(values: torch.Tensor, ring: int) -> list[torch.Tensor]:
    """Unsigned limbs, lowest first; the high ones that are zero everywhere are left out."""
    mask = (1 << LIMB_BITS) - 1
    limbs = [(values >> shift) & mask for shift in range(0, ring, LIMB_BITS)]
    while len(limbs) > 1 and not bool(limbs[-1].any()):
        limbs.pop()
    return [limb.double() for limb in limbs]


def folds(op: arch.Conv2d, pool: SumPool) -> bool:
    """Whether convolution and pooling are one convolution: windows side by side, inside the image."""
    return (
        isinstance(pool.op, arch.AvgPool2d)
        and pool.op.kernel == pool.op.stride
        and pool.op.padding == (0, 0)
        and op.dilation == (1, 1)
    )


def folded(weight: torch.Tensor, stride: tuple[int, int], window: tuple[int, int]) -> torch.Tensor:
    """The kernel of "convolve, then sum windows": the sum of the kernel at all places of the window."""
    height, width = weight.shape[2:]
    folded = weight.new_zeros(
        *weight.shape[:2], height + stride[0] * (window[0] - 1), width + stride[1] * (window[1] - 1)
    )
    for row in range(0, stride[0] * window[0], stride[0]):
        for column in range(0, stride[1] * window[1], stride[1]):
            folded[:, :, row : row + height, column : column + width] += weight
    return folded
