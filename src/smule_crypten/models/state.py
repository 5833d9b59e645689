"""The state of a network as tensors and plain values: what a file can hold that is read without running code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from smule_crypten.errors import ModelError

_WRAPPER_PREFIXES = {
    "module.": "nn.DataParallel or DistributedDataParallel; save model.module.state_dict()",
    "_orig_mod.": "torch.compile; save model._orig_mod.state_dict()",
}


def plain_state(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a network's state: its tensors on the CPU, and what get_extra_state of its modules gives.

    Raises:
        ModelError: get_extra_state gives something else than tensors and plain values.
    """
    return {name: plain_value(value, f"the state {name}") for name, value in state_dict.items()}


def plain_value(value: Any, what: str) -> Any:
    """`value` with NumPy's numbers and arrays as Python's and tensors on the CPU.

    Raises:
        ModelError: names what it is that holds another kind of object.
    """
    match value:
        case torch.Tensor():
            with torch._C.DisableTorchFunctionSubclass():
                return value.detach().cpu().as_subclass(torch.Tensor)
        case np.generic() | np.ndarray():
            return plain_value(value.tolist(), what)
        case bool() | int() | float() | str() | bytes() | None:
            return _base(value)
        case tuple() | list():
            items = [plain_value(item, what) for item in value]
            return tuple(items) if isinstance(value, tuple) else items
        case Mapping():
            return {plain_value(key, what): plain_value(item, what) for key, item in value.items()}
    raise ModelError(
        f"{what} holds a {type(value).__name__}, which cannot be saved; use tensors, numbers, texts, and lists and "
        "dictionaries of them"
    )


def _base(value: Any) -> Any:
    """Without a subclass, such as that of an Enum."""
    kind = next((kind for kind in (bool, int, float, str, bytes) if isinstance(value, kind)), None)
    return value if kind is None else kind(value)


def misfit(state_dict: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Why a state does not fit a network, whose own state is expected, and what to do."""
    for prefix, by in _WRAPPER_PREFIXES.items():
        if {name.removeprefix(prefix) for name in state_dict} == set(expected) != set(state_dict):
            return f"their names begin with {prefix}, since they were saved from a network wrapped by {by}"
    for name, value in expected.items():
        if name not in state_dict:
            return f"{name} is missing{_RENEW}"
        found = state_dict[name]
        if isinstance(value, torch.Tensor) and tuple(getattr(found, "shape", ())) != tuple(value.shape):
            return f"{name} has shape {tuple(getattr(found, 'shape', ()))} in place of {tuple(value.shape)}{_RENEW}"
    unknown = [name for name in state_dict if name not in expected]
    return f"it knows no {unknown[0]}{_RENEW}" if unknown else f"it refuses them{_RENEW}"


_RENEW = "; its options or its code have changed since: use those that wrote the file"
