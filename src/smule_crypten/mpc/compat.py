"""Every workaround that CrypTen 0.4.1 needs, each with its reason. Import crypten from here only.

1. CrypTen imports `torch.onnx._internal.registration`, which moved in PyTorch 2.9; the old name is aliased.
2. `FixedPointEncoder.encode` truncates toward zero, which has 26 times the mean error of rounding, and `decode` is
   off by exactly 1 on some negative values. Both methods are replaced: round to nearest, divide in float64.

Two workarounds stand elsewhere: CrypTen requires the retired PyPI name "sklearn" (setup.cfg), and torchvision cannot
be imported beside a CPU-only PyTorch (torchvision_compat.py).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

import numpy as np
import torch


def _alias_moved_onnx_module() -> None:
    old = "torch.onnx._internal.registration"
    new = "torch.onnx._internal.torchscript_exporter.registration"
    if importlib.util.find_spec(old) is None:
        sys.modules[old] = importlib.import_module(new)


def encode_rounded(self: Any, x: Any, device: Any = None) -> Any:
    """Fixed point of x: round(x * scale) as int64. Stands in for FixedPointEncoder.encode.

    Args:
        x: a number, a list of numbers, an array, a float or integer tensor, or a CrypTensor (returned as it is).
    """
    if isinstance(x, CrypTensor):
        return x
    # NumPy reads a Python number as float64; PyTorch would round it to float32 first.
    tensor = torch.as_tensor(x if isinstance(x, torch.Tensor) else np.asarray(x), device=device)
    if tensor.is_floating_point():
        return (tensor.double() * self.scale).round().long()
    return tensor.long() * self.scale


def decode_exact(self: Any, tensor: torch.Tensor | None) -> torch.Tensor | None:
    """Real value of a ring element, float32. Stands in for FixedPointEncoder.decode.

    Without fractional bits the int64 itself, as in CrypTen: float32 would round beyond 2^24.
    """
    if tensor is None or self.scale == 1:
        return tensor
    value: torch.Tensor = (tensor.double() / self.scale).float()
    return value


_alias_moved_onnx_module()

import crypten  # noqa: E402
import crypten.communicator  # noqa: E402
from crypten.cryptensor import CrypTensor  # noqa: E402
from crypten.encoder import FixedPointEncoder  # noqa: E402

FixedPointEncoder.encode = encode_rounded
FixedPointEncoder.decode = decode_exact

__all__ = ["crypten"]
