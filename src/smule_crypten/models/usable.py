"""What keeps a network from being used at all, said by its cause and with the remedy."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from smule_crypten.errors import ModelError

_WRAPPERS = {
    "OptimizedModule": ("torch.compile", "give the network inside it, its attribute _orig_mod"),
    "DataParallel": ("nn.DataParallel", "give the network inside it, its attribute module"),
    "DistributedDataParallel": ("DistributedDataParallel", "give the network inside it, its attribute module"),
    "FullyShardedDataParallel": ("FullyShardedDataParallel", "give the network as it was before it was wrapped"),
}
"""By the name of the class: importing torch.compile's takes seconds."""


def check_usable(model: nn.Module) -> None:
    """Look at modules and parameters, before anything is computed.

    Raises:
        ModelError: a module is a wrapper or compiled, or a parameter has no values yet or is not float32.
    """
    for name, module in model.named_modules():
        if type(module).__name__ in _WRAPPERS:
            by, remedy = _WRAPPERS[type(module).__name__]
            raise ModelError(f"{_label(name, module)} is wrapped by {by}; {remedy}")
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(f"{_label(name, module)} is compiled by torch.jit; give the network that was compiled")
    for name, tensor in _tensors(model):
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
            raise ModelError(
                f"{name} has no values before the network has seen a batch; give a layer that knows its size in place "
                "of a lazy one, or apply the network to a batch first"
            )
        if tensor.is_meta:
            raise ModelError(f"{name} lies on the device meta, without values; load weights into the network first")
    wrong = next((pair for pair in model.named_parameters() if not is_float32(pair[1])), None)
    if wrong is not None:
        raise ModelError(
            f"{wrong[0]} is {wrong[1].dtype}, and images are torch.float32; call .float() on the network before it is "
            "given here"
        )


def check_finite(model: nn.Module) -> None:
    """Raises ModelError, naming the tensor, where a parameter or running statistic is NaN or infinite."""
    for name, tensor in _tensors(model):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            raise ModelError(
                f"{name} holds {count} values that are NaN or infinite; train again with a lower learning rate, or "
                "load other weights"
            )


def buffer_hint(model: nn.Module) -> str | None:
    """Why a network of float32 parameters may not take float32 images; None where buffers are not why."""
    for name, buffer in model.named_buffers():
        if not is_float32(buffer):
            return f"its buffer {name} is {buffer.dtype}, and images are torch.float32; call .float() on the network"
    return None


def is_float32(tensor: torch.Tensor) -> bool:
    """Also true of integers, which no network computes with."""
    return tensor.dtype is torch.float32 or not (tensor.is_floating_point() or tensor.is_complex())


def _tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _label(name: str, module: nn.Module) -> str:
    return f"the module {name}" if name else f"the network {type(module).__name__}"
