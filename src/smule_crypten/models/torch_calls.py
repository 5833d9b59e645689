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


def conv_padding(name: str, module: nn.Conv2d) -> tuple[int, int]:
    """Zero padding on each side, (height, width).

    Raises:
        UnshareableModelError: reflected, replicated or circular padding, or 'same' with an even kernel.
    """
    if module.padding_mode != "zeros":
        raise UnshareableModelError(
            f"{name} (Conv2d)", f"padding_mode={module.padding_mode!r} is not supported", "use padding_mode='zeros'"
        )
    if module.padding == "valid":
        return 0, 0
    if module.padding == "same":
        totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        if any(total % 2 for total in totals):
            raise UnshareableModelError(
                f"{name} (Conv2d)", "padding='same' is asymmetric for an even kernel", "use an odd kernel size"
            )
        return totals[0] // 2, totals[1] // 2
    assert not isinstance(module.padding, str)
    return pair(module.padding)
