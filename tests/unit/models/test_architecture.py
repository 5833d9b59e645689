from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smule_crypten.errors import ModelError
from smule_crypten.models.architecture import (
    NETWORK_INPUT,
    Architecture,
    Conv2d,
    Linear,
    ReLU,
    apply_op,
    num_elements,
    parameter_shapes,
)

RESIDUAL_BLOCK: dict[str, Any] = {
    "input_shape": [2, 6, 6],
    "ops": [
        {
            "kind": "conv2d",
            "name": "conv",
            "inputs": [-1],
            "weight_shape": [2, 2, 3, 3],
            "stride": [1, 1],
            "padding": [1, 1],
            "dilation": [1, 1],
            "groups": 1,
            "bias": True,
        },
        {"kind": "relu", "name": "relu", "inputs": [0]},
        {"kind": "add", "name": "add", "inputs": [1, -1]},
        {
            "kind": "max_pool2d",
            "name": "max",
            "inputs": [2],
            "kernel": [2, 2],
            "stride": [2, 2],
            "padding": [0, 0],
            "dilation": [1, 1],
            "ceil_mode": False,
        },
        {
            "kind": "avg_pool2d",
            "name": "avg",
            "inputs": [3],
            "kernel": [2, 1],
            "stride": [1, 1],
            "padding": [0, 0],
            "count_include_pad": True,
        },
        {"kind": "adaptive_avg_pool2d", "name": "adaptive", "inputs": [4], "output_size": [1, 2]},
        {"kind": "flatten", "name": "flatten", "inputs": [5]},
        {"kind": "linear", "name": "fc", "inputs": [6], "weight_shape": [5, 4], "bias": False},
    ],
}


def residual_block() -> dict[str, Any]:
    """A fresh copy that a test may change."""
    copied: dict[str, Any] = json.loads(json.dumps(RESIDUAL_BLOCK))
    return copied


def with_op(position: int, **changes: Any) -> dict[str, Any]:
    value = residual_block()
    value["ops"][position] |= changes
    return value


def with_last(op: dict[str, Any]) -> dict[str, Any]:
    value = residual_block()
    value["ops"][-1] = op
    return value


def without(position: int, key: str) -> dict[str, Any]:
    value = residual_block()
    del value["ops"][position][key]
    return value


def test_shapes_are_recomputed() -> None:
    """Costs and shared tensors are sized by these shapes; they follow from the operations alone."""
    architecture = Architecture.from_json(RESIDUAL_BLOCK)
    assert architecture.shapes == ((2, 6, 6), (2, 6, 6), (2, 6, 6), (2, 3, 3), (2, 2, 3), (2, 1, 2), (4,), (5,))
    assert architecture.output_shape == (5,)
    assert architecture.input_shapes(architecture.ops[0]) == ((2, 6, 6),)
    assert architecture.input_shapes(architecture.ops[2]) == ((2, 6, 6), (2, 6, 6))
    assert architecture.input_shapes(architecture.ops[7]) == ((4,),)


def test_json_round_trip() -> None:
    """What the other party rebuilds is equal to what was sent, in every field and in its digest."""
    architecture = Architecture.from_json(RESIDUAL_BLOCK)
    rebuilt = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert architecture.to_json() == RESIDUAL_BLOCK
    assert rebuilt == architecture
    assert rebuilt.digest() == architecture.digest()


def test_equality_ignores_what_was_computed_already() -> None:
    """A scheme compares a fresh translation with the prepared architecture, whose shapes are cached."""
    used, unused = (Architecture.model_validate_json(json.dumps(RESIDUAL_BLOCK)) for _ in range(2))
    _ = used.shapes
    assert used == unused
    assert used.digest() == unused.digest()


@pytest.mark.parametrize(
    "changed",
    [
        with_op(0, bias=False),
        with_op(0, name="other"),
        with_op(3, ceil_mode=True),
        with_op(4, count_include_pad=False),
        with_op(2, inputs=[1, 0]),
    ],
    ids=["bias", "name", "ceil_mode", "count_include_pad", "inputs"],
)
def test_digest_covers_every_field(changed: dict[str, Any]) -> None:
    """Two parties with different networks must not arrive at the same digest, even where all shapes agree."""
    original, other = Architecture.from_json(RESIDUAL_BLOCK), Architecture.from_json(changed)
    assert other.shapes == original.shapes
    assert other != original
    assert other.digest() != original.digest()


def test_parameter_shapes() -> None:
    """The party that does not own the weights shares zeros of exactly these shapes."""
    conv = Conv2d(
        name="conv",
        inputs=(NETWORK_INPUT,),
        weight_shape=(4, 1, 3, 5),
        stride=(1, 1),
        padding=(0, 0),
        dilation=(1, 1),
        groups=2,
        bias=True,
    )
    assert parameter_shapes(conv) == ((4, 1, 3, 5), (4,))
    assert parameter_shapes(Linear(name="fc", inputs=(0,), weight_shape=(3, 7), bias=False)) == ((3, 7), None)
    assert parameter_shapes(ReLU(name="relu", inputs=(0,))) is None


def test_num_elements() -> None:
    """Byte counts are products of these; a scalar has one element."""
    assert [num_elements(shape) for shape in ((2, 3, 4), (5,), ())] == [24, 5, 1]


def test_oracle_computes_a_hand_checked_product() -> None:
    """apply_op is what every secure evaluation is compared with, so it is checked against pencil and paper once."""
    weight, bias = torch.tensor([[1.0, -2.0], [0.5, 4.0]]), torch.tensor([10.0, 20.0])
    op = Linear(name="fc", inputs=(NETWORK_INPUT,), weight_shape=(2, 2), bias=True)
    assert torch.equal(apply_op(op, [torch.tensor([[3.0, 1.0]])], weight, bias), torch.tensor([[11.0, 25.5]]))


HOSTILE: dict[str, tuple[object, str]] = {
    "none": (None, "not an architecture"),
    "a list": ([], "not an architecture"),
    "a number": (3, "not an architecture"),
    "a text": ("conv2d", "not an architecture"),
    "an empty object": ({}, "input_shape"),
    "no operation": ({"input_shape": [2, 6, 6], "ops": []}, "at least one operation"),
    "operations are no list": ({"input_shape": [2, 6, 6], "ops": {"kind": "relu"}}, "ops"),
    "unknown field": (residual_block() | {"weights": [1.0]}, "weights"),
    "input shape of four": (residual_block() | {"input_shape": [2, 2, 6, 6]}, "input_shape"),
    "linear on an image": (
        {
            "input_shape": [2, 6, 6],
            "ops": [{"kind": "linear", "name": "l", "inputs": [-1], "weight_shape": [3, 6], "bias": False}],
        },
        "operation l .linear. does not accept inputs of shape",
    ),
    "input shape of none": (residual_block() | {"input_shape": []}, "input_shape"),
    "input shape of a vector": (residual_block() | {"input_shape": [6]}, "does not accept inputs of shape"),
    "input shape of texts": (residual_block() | {"input_shape": ["2", "6", "6"]}, "input_shape"),
    "negative input shape": (residual_block() | {"input_shape": [-2, 6, 6]}, "input_shape"),
    "empty input": (residual_block() | {"input_shape": [2, 0, 6]}, "input_shape"),
    "input beyond 64 bits": (residual_block() | {"input_shape": [2**70, 6, 6]}, "input_shape"),
    "input beyond memory": (residual_block() | {"input_shape": [2**32, 2**32, 2**32]}, "network's input has shape"),
    "unknown kind": (with_op(1, kind="eval"), "ops.1"),
    "kind of wrong type": (with_op(1, kind=["relu"]), "ops.1"),
    "missing kind": (without(1, "kind"), "ops.1"),
    "missing field": (without(0, "stride"), "stride"),
    "unknown field of an operation": (with_op(1, slope=0.1), "slope"),
    "name is no text": (with_op(1, name=3), "name"),
    "endless name": (with_op(1, name="x" * 1000), "name"),
    "empty name": (with_op(1, name=""), "name"),
    "name that clears the screen": (with_op(1, name="\x1b[2J"), r"got '\\x1b\[2J'$"),
    "name of two lines": (with_op(1, name="relu\nhandshake agreed"), r"got 'relu\\nhandshake agreed'$"),
    "name that ends a line": (with_op(1, name="relu\n"), r"got 'relu\\n'$"),
    "name in another script": (with_op(1, name="rel\u03c5"), "name"),
    "kind that clears the screen": (with_op(1, kind="\x1b[2J"), "kind"),
    "key that clears the screen": (with_op(1, **{"\x1b[2J": 1}), r"'\\x1b\[2J': unknown key$"),
    "endless inputs": (with_op(1, inputs=[0] * 100_000), r"inputs \(0, 0, .{190,}\.\.\. are not"),
    "repeated name": (with_op(1, name="conv"), "same name"),
    "forward reference": (with_op(1, inputs=[2]), "earlier operation"),
    "reference to itself": (with_op(1, inputs=[1]), "earlier operation"),
    "reference before the input": (with_op(1, inputs=[-2]), "earlier operation"),
    "huge reference": (with_op(1, inputs=[10**30]), "earlier operation"),
    "reference is a fraction": (with_op(1, inputs=[0.5]), "inputs"),
    "reference is NaN": (with_op(1, inputs=[float("nan")]), "inputs"),
    "no reference": (with_op(1, inputs=[]), "earlier operation"),
    "two references for one": (with_op(1, inputs=[0, 0]), "earlier operation"),
    "one reference for two": (with_op(2, inputs=[0]), "2 earlier operation"),
    "channels do not fit": (with_op(0, weight_shape=[2, 3, 3, 3]), "does not accept inputs of shape"),
    "groups do not divide": (with_op(0, groups=3), "does not accept inputs of shape"),
    "features do not fit": (with_op(7, weight_shape=[5, 8]), "does not accept inputs of shape"),
    "sum of different shapes": (with_op(0, padding=[0, 0]), "does not accept inputs of shape"),
    "window larger than the image": (with_op(3, kernel=[9, 9]), "does not accept inputs of shape"),
    "unused operation": (with_last({"kind": "relu", "name": "x", "inputs": [0]}), "no later operation uses its result"),
    "padding beyond the window": (with_op(3, padding=[2, 2]), "does not accept inputs of shape"),
    "pooling of a flat value": (with_last(RESIDUAL_BLOCK["ops"][3] | {"name": "p", "inputs": [6]}), "operation p"),
    "negative weight": (with_op(0, weight_shape=[-2, 2, 3, 3]), "weight_shape"),
    "empty weight": (with_op(0, weight_shape=[0, 2, 3, 3]), "weight_shape"),
    "weight beyond 64 bits": (with_op(0, weight_shape=[2**70, 2, 3, 3]), "weight_shape"),
    "weight beyond memory": (with_op(0, weight_shape=[2**32, 2, 3, 3]), "the weight of operation conv has shape"),
    "result beyond memory": (with_op(0, weight_shape=[2**27, 2, 3, 3]), "the result of operation conv has shape"),
    "huge stride": (with_op(0, stride=[10**9, 1]), "stride"),
    "stride of zero": (with_op(0, stride=[0, 1]), "stride"),
    "negative padding": (with_op(0, padding=[-1, 0]), "padding"),
    "huge groups": (with_op(0, groups=10**30), "groups"),
    "bias is a number": (with_op(0, bias=1), "bias"),
}


@pytest.mark.parametrize(("value", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_values_are_refused(value: object, message: str) -> None:
    """An architecture comes from the other party: whatever it holds, the answer is a one-line ModelError."""
    with pytest.raises(ModelError, match=message) as caught:
        Architecture.from_json(value)
    assert "\n" not in str(caught.value)


NUMBERS = st.one_of(st.integers(-3, 12), st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3))
FIELDS = [(position, key) for position, op in enumerate(RESIDUAL_BLOCK["ops"]) for key in op]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(field=st.sampled_from(FIELDS), value=st.one_of(NUMBERS, st.lists(NUMBERS, max_size=4)))
def test_any_changed_field_is_accepted_or_refused(field: tuple[int, str], value: object) -> None:
    """No value of a single field gets past the check with another error, or with shapes that are not positive."""
    position, key = field
    try:
        architecture = Architecture.from_json(with_op(position, **{key: value}))
    except ModelError:
        return
    assert all(size > 0 for shape in architecture.shapes for size in shape)
