"""How the logits of a network scatter when CrypTen evaluates it, measured by its owner on its own samples.

CrypTen divides each party's share by itself, rounding toward zero. So the owner of the samples knows a part of every
rounding error, from the low bits of its own shares; all of the scatter counts as known to it.

The measurement computes with shares in the clear: both shares of every value are available, uniform but for their sum.
"""

from __future__ import annotations

import torch

from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import apply_op, num_elements
from smule_crypten.models.pooling import SumPool, max_pool_padding, max_pool_windows
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.types import LogitOpening, opened_logits


class SharesInTheClear:
    """CrypTen's arithmetic on both shares at once, each value as their sum: int64, precision_bits fractional bits."""

    def __init__(self, network: TranslatedNetwork, precision_bits: int, generator: torch.Generator) -> None:
        self._network = network
        self._scale = 1 << precision_bits
        self._generator = generator

    def logits(self, inputs_NX: torch.Tensor, opening: LogitOpening = "differences") -> torch.Tensor:
        """What is opened of the logits (N, C), float64, of one evaluation; without noise."""
        encoded = self._encode(arch.lifted(inputs_NX))
        values: list[torch.Tensor] = []
        for op in self._network.architecture.ops:
            operands = [encoded if i == arch.NETWORK_INPUT else values[i] for i in op.inputs]
            values.append(self._apply(op, operands))
        return opened_logits(values[-1].double() / self._scale, opening)

    def _apply(self, op: arch.Op, operands: list[torch.Tensor]) -> torch.Tensor:
        x = operands[0]
        match op:
            case arch.Conv2d() | arch.Linear():
                weight, bias = self._network.parameters[op.name]
                product = self._divided(apply_op(op, operands, self._encode(weight), None), self._scale)
                return product if bias is None else product + _by_channel(self._encode(bias), product)
            case arch.AvgPool2d() | arch.AdaptiveAvgPool2d():
                pool = SumPool(op, (x.size(2), x.size(3)))
                if pool.is_uniform:
                    return self._divided(pool.sums(x), pool.window) if pool.window > 1 else pool.sums(x)
                return self._divided(pool.sums(x) * self._encode(pool.counts.double().reciprocal()), self._scale)
            case arch.MaxPool2d():
                height, width = apply_op(op, [torch.empty(x.shape, device="meta")]).shape[-2:]
                pads = max_pool_padding(op, (x.size(2), x.size(3)), (height, width))
                padded = torch.nn.functional.pad(x, pads, value=torch.iinfo(torch.int32).min)
                return max_pool_windows(padded, op, (height, width)).amax(0)
            case arch.ReLU():
                return x.clamp(min=0)
            case arch.Add():
                return x + operands[1]
            case arch.Flatten():
                return x.flatten(1)

    def _divided(self, values: torch.Tensor, divisor: int) -> torch.Tensor:
        """Both shares divided, each rounded toward zero, and added.

        Shares stay within half of the ring, so that none wraps: that happens with probability |z| / 2^64, is no matter
        of rounding, and would drown it in the measurement (docs/limitations.md).
        """
        share = torch.empty_like(values).random_(-(2**62), 2**62, generator=self._generator)
        ours, theirs = (part.div(divisor, rounding_mode="trunc") for part in (share, values - share))
        return ours + theirs

    def _encode(self, values: torch.Tensor) -> torch.Tensor:
        return (values.double() * self._scale).round().long()


def _by_channel(bias: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    return bias.view(-1, 1, 1) if result.dim() == 4 else bias


def products_of(architecture: arch.Architecture) -> int:
    """Multiplications of one evaluation of one sample."""
    return sum(
        num_elements(shape) * num_elements(op.weight_shape[1:])
        for op, shape in zip(architecture.ops, architecture.shapes, strict=True)
        if isinstance(op, arch.Conv2d | arch.Linear)
    )
