from __future__ import annotations

import enum
import io
import threading
from typing import Any

import numpy as np
import pytest
import torch
from odd_networks import Tripling

from smule_crypten.errors import ModelError
from smule_crypten.models.state import plain_value


class Color(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([1, 2]), [1, 2]),
        (np.float64(0.5), 0.5),
        (np.str_("a"), "a"),
        (Color.RED, 1),
        ((np.int64(1), [np.float64(2.0), {"k": np.int8(3)}]), (1, [2.0, {"k": 3}])),
        (True, True),
        (None, None),
        (b"bytes", b"bytes"),
    ],
)
def test_numbers_become_pythons(value: Any, plain: Any) -> None:
    """What NumPy and Enum make of numbers is saved as what PyTorch reads without running code."""
    found = plain_value(value, "it")
    assert (found, type(found)) == (plain, type(plain))
    buffer = io.BytesIO()
    torch.save(found, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == plain


def test_tensors_of_a_class_become_plain() -> None:
    """A subclass would have to be imported by whoever reads the file."""
    tensor = torch.nn.Parameter(torch.ones(2).as_subclass(Tripling))
    assert type(plain_value(tensor, "it")) is torch.Tensor


@pytest.mark.parametrize("value", [threading.Lock(), {1, 2}, [object()], {"a": 1j}, np.array([object()])])
def test_other_objects_are_refused(value: Any) -> None:
    """Before anything is written, with the name of what holds them."""
    with pytest.raises(ModelError, match=r"^the state x holds a \w+, which cannot be saved; use "):
        plain_value(value, "the state x")
