"""Which functions and tensor methods mean which operation, and how torch spells sizes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from smule_crypten.errors import UnshareableModelError


class Call(Enum):
    IDENTITY = auto()
    DROPOUT = auto()
    RELU = auto()
    ADD = auto()
    RESHAPE = auto()
    MAX_POOL = auto()
    AVG_POOL = auto()
    ADAPTIVE_AVG_POOL = auto()
    MAX_POOL_1D = auto()
    AVG_POOL_1D = auto()
    ADAPTIVE_AVG_POOL_1D = auto()


CALLS: dict[str | Callable[..., Any], Call] = {
    F.relu: Call.RELU,
    torch.relu: Call.RELU,
    torch.relu_: Call.RELU,
    "relu": Call.RELU,
    "relu_": Call.RELU,
    operator.add: Call.ADD,
    operator.iadd: Call.ADD,
    torch.add: Call.ADD,
    "add": Call.ADD,
    "add_": Call.ADD,
    torch.flatten: Call.RESHAPE,
    torch.reshape: Call.RESHAPE,
    "flatten": Call.RESHAPE,
    "reshape": Call.RESHAPE,
    "view": Call.RESHAPE,
    F.dropout: Call.DROPOUT,
    "contiguous": Call.IDENTITY,
    F.max_pool2d: Call.MAX_POOL,
    F.avg_pool2d: Call.AVG_POOL,
    F.adaptive_avg_pool2d: Call.ADAPTIVE_AVG_POOL,
    F.max_pool1d: Call.MAX_POOL_1D,
    F.avg_pool1d: Call.AVG_POOL_1D,
    F.adaptive_avg_pool1d: Call.ADAPTIVE_AVG_POOL_1D,
}

_IN_PLACE: frozenset[Callable[..., Any]] = frozenset({operator.iadd, operator.setitem, torch.relu_})


def changes_operand(node: fx.Node) -> bool:
    """Whether a call changes its first operand, or a tensor that is given to it for the result."""
    is_method_in_place = node.op == "call_method" and str(node.target).endswith("_")
    options = bool(node.kwargs.get("inplace", False)) or node.kwargs.get("out") is not None
    return is_method_in_place or options or node.target in _IN_PLACE


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Torch's way of writing (height, width): one number, alone or in a tuple, or two."""
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def lifted_pair(value: int | tuple[int, ...], axes: int, along_height: int) -> tuple[int, int]:
    """(height, width) of what a layer over so many axes says; one over time does along_height to a height of 1."""
    return pair(value) if axes == 2 else (along_height, pair(value)[1])


def conv_padding(name: str, module: nn.Conv1d | nn.Conv2d) -> tuple[int, ...]:
    """Zero padding on each side, (height, width) or (time,).

    Raises:
        UnshareableModelError: reflected, replicated or circular padding, or 'same' with an even kernel.
    """
    kind = f"Conv{len(module.kernel_size)}d"
    if module.padding_mode != "zeros":
        raise UnshareableModelError(
            f"{name} ({kind})", f"padding_mode={module.padding_mode!r} is not supported", "use padding_mode='zeros'"
        )
    if module.padding == "valid":
        return (0,) * len(module.kernel_size)
    if module.padding == "same":
        totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if any(total % 2 for total in totals):
            raise UnshareableModelError(
                f"{name} ({kind})", "padding='same' is asymmetric for an even kernel", "use an odd kernel size"
            )
        return tuple(total // 2 for total in totals)
    assert not isinstance(module.padding, str)
    return module.padding
