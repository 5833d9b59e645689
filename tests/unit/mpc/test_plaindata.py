from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smule_crypten.errors import ProtocolError
from smule_crypten.mpc.plaindata import from_json, to_json

_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_sizes = st.lists(st.integers(0, 2**40), max_size=4).map(torch.Size)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items = st.lists(inner, max_size=3)
    return items | items.map(tuple) | st.dictionaries(st.text(), inner, max_size=3)


_plain = st.recursive(_scalars | _sizes, _containers, max_leaves=10)


def typed(value: Any) -> Any:
    """value with the type of each part, so that True is not 1 and a tuple not a torch.Size."""
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    if isinstance(value, dict):
        return dict, {key: typed(item) for key, item in value.items()}
    return type(value), value


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=_plain)
def test_everything_plain_comes_back(value: Any) -> None:
    """Protects: values and types survive the wire, however nested, dictionaries that look like a message included."""
    assert typed(from_json(json.loads(json.dumps(to_json(value))))) == typed(value)


@pytest.mark.parametrize(
    "value",
    [torch.zeros(1), {1, 2}, b"bytes", {1: 2}, [print], (object(),), 1j, range(3), {"a": {"b": torch.Size}}],
    ids=lambda value: type(value).__name__,
)
def test_other_objects_are_refused(value: object) -> None:
    """Protects: what pickle would have sent, tensors and functions among it, never leaves."""
    with pytest.raises(ProtocolError, match="is not plain data"):
        to_json(value)


def test_bottomless_objects_are_refused() -> None:
    """Protects: a list that holds itself, and a message of thousands of brackets, end in the promised error."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ProtocolError, match="more than 32 levels"):
        to_json(endless)
    message: object = 0
    for _ in range(33):
        message = ["list", [message]]
    with pytest.raises(ProtocolError, match="not plain data"):
        from_json(message)
    assert from_json(message[1][0]) is not None  # type: ignore[index]
