"""Plain Python data as JSON and back, types kept: what takes the place of pickle on the wire.

A container becomes a pair of its type's name and its items; the names are those of a closed table, and nothing that
arrives is ever looked up, imported or called.
"""

from __future__ import annotations

from typing import Any

import torch

from smule_crypten.errors import ProtocolError

_SCALARS = (type(None), bool, int, float, str)
_SEQUENCES: dict[str, type] = {"list": list, "tuple": tuple, "size": torch.Size}
_NAMES = {kind: name for name, kind in _SEQUENCES.items()}
_MAX_DEPTH = 32
_MAX_LENGTH = 1 << 63


def to_json(value: object, depth: int = 0) -> object:
    """None, bool, int, float, str, and lists, tuples, torch.Size and dictionaries with string keys of those.

    Raises:
        ProtocolError: anything else.
    """
    if type(value) in _SCALARS:
        return value
    if depth == _MAX_DEPTH:
        raise ProtocolError(f"an object is nested more than {_MAX_DEPTH} levels deep; send it in parts")
    if isinstance(value, list | tuple) and type(value) in _NAMES:
        return [_NAMES[type(value)], [to_json(item, depth + 1) for item in value]]
    if type(value) is dict and all(type(key) is str for key in value):
        return ["dict", {key: to_json(item, depth + 1) for key, item in value.items()}]
    raise ProtocolError(f"an object of type {type(value).__name__} is not plain data; send it as a tensor or in parts")


def from_json(message: object, depth: int = 0) -> Any:
    """The value that to_json turned into message.

    Raises:
        ProtocolError: to_json does not make such a message.
    """
    if type(message) in _SCALARS:
        return message
    match message:
        case ["dict", dict(items)] if depth < _MAX_DEPTH:
            return {key: from_json(item, depth + 1) for key, item in items.items()}
        case ["size", list(items)] if all(type(item) is int and 0 <= item < _MAX_LENGTH for item in items):
            return torch.Size(items)
        case ["list" | "tuple" as name, list(items)] if depth < _MAX_DEPTH:
            return _SEQUENCES[name](from_json(item, depth + 1) for item in items)
    raise ProtocolError("the other party sent an object that is not plain data; use the same version")
