"""The public description of a network: which operations, with which shapes, without any weight.

Both parties know both architectures; the weights stay with their owner. An architecture travels as JSON, so its
shapes are always recomputed here and never believed.

A network takes vectors (features,), series (channels, time) or images (channels, height, width). Operations know
vectors and images only: a series is an image of height 1 to them, and a convolution over time one whose kernel has
height 1. So evaluators, costs and what the dealer deals need nothing of their own for series.

Shape legend: the batch size N is left out of every stored shape; a weight is OIHW or (out, in).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, ValidationError

from smule_crypten.config.config_reading import describe_validation
from smule_crypten.config.sections import Section
from smule_crypten.errors import ModelError, quoted

NETWORK_INPUT = -1
"""In `inputs`, stands for the input of the network; other values are positions in `Architecture.ops`."""

MAX_ELEMENTS = 1 << 32
"""Of one weight, or of one value for one sample: far above what can be evaluated, far below an overflow."""

_MOST_QUOTED = 300
"""Characters of a message that may hold what the other party wrote."""

Size = Annotated[int, Field(ge=1, le=MAX_ELEMENTS)]
Pair = tuple[Annotated[int, Field(ge=0, le=4096)], Annotated[int, Field(ge=0, le=4096)]]
PositivePair = tuple[Annotated[int, Field(ge=1, le=4096)], Annotated[int, Field(ge=1, le=4096)]]


_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.() -]{0,199}$"
"""Names reach terminals, logs and tables of the other party. torch.fx makes them of letters, digits and underscores."""


class _Op(Section):
    name: str = Field(pattern=_NAME)
    inputs: tuple[int, ...]


class Conv2d(_Op):
    kind: Literal["conv2d"] = "conv2d"
    weight_shape: tuple[Size, Size, Size, Size]
    stride: PositivePair
    padding: Pair
    dilation: PositivePair
    groups: Size
    bias: bool


class Linear(_Op):
    kind: Literal["linear"] = "linear"
    weight_shape: tuple[Size, Size]
    bias: bool


class ReLU(_Op):
    kind: Literal["relu"] = "relu"


class MaxPool2d(_Op):
    kind: Literal["max_pool2d"] = "max_pool2d"
    kernel: PositivePair
    stride: PositivePair
    padding: Pair
    dilation: PositivePair
    ceil_mode: bool


class AvgPool2d(_Op):
    kind: Literal["avg_pool2d"] = "avg_pool2d"
    kernel: PositivePair
    stride: PositivePair
    padding: Pair
    count_include_pad: bool


class AdaptiveAvgPool2d(_Op):
    kind: Literal["adaptive_avg_pool2d"] = "adaptive_avg_pool2d"
    output_size: PositivePair


class Add(_Op):
    kind: Literal["add"] = "add"


class Flatten(_Op):
    kind: Literal["flatten"] = "flatten"


Op = Conv2d | Linear | ReLU | MaxPool2d | AvgPool2d | AdaptiveAvgPool2d | Add | Flatten
WeightedOp = Conv2d | Linear

_NUM_INPUTS: dict[str, int] = {"add": 2}


def lifted_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one sample as operations see it: (channels, time) is (channels, 1, time), others stay."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def lifted(values_NX: torch.Tensor) -> torch.Tensor:
    """A view of a batch as operations see it; what is lifted already stays."""
    return values_NX.unsqueeze(2) if values_NX.dim() == 3 else values_NX


class Architecture(Section):
    """Operations in execution order; the last one is the output."""

    input_shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=3)]
    ops: tuple[Annotated[Op, Field(discriminator="kind")], ...]

    @property
    def lifted_input_shape(self) -> tuple[int, ...]:
        """As operations see it, without the batch size."""
        return lifted_shape(self.input_shape)

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Output shape of every operation, without the batch size.

        Raises:
            ModelError: the operations do not fit together, or are too large.
        """
        values: list[torch.Tensor] = []
        _check_size("the network's input", self.input_shape)
        network_input = torch.empty(1, *self.lifted_input_shape, device="meta")
        for position, op in enumerate(self.ops):
            expected = _NUM_INPUTS.get(op.kind, 1)
            if len(op.inputs) != expected or not all(NETWORK_INPUT <= i < position for i in op.inputs):
                raise ModelError(
                    f"operation {op.name}: inputs {quoted(op.inputs)} are not {expected} earlier operation(s)"
                )
            if isinstance(op, Conv2d | Linear):
                _check_size(f"the weight of operation {op.name}", op.weight_shape)
            inputs = [network_input if i == NETWORK_INPUT else values[i] for i in op.inputs]
            try:
                if isinstance(op, Linear) and inputs[0].dim() != 2:
                    raise ValueError("torch multiplies the last axis of any value, the protocols vectors only")
                values.append(apply_op(op, inputs, *_meta_parameters(op)))
            except Exception as error:  # torch's shape functions raise whatever they stumble over
                shapes = [tuple(value.shape[1:]) for value in inputs]
                raise ModelError(f"operation {op.name} ({op.kind}) does not accept inputs of shape {shapes}") from error
            _check_size(f"the result of operation {op.name}", tuple(values[-1].shape))
        return tuple(tuple(value.shape[1:]) for value in values)

    def input_shapes(self, op: Op) -> tuple[tuple[int, ...], ...]:
        return tuple(self.lifted_input_shape if i == NETWORK_INPUT else self.shapes[i] for i in op.inputs)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.shapes[-1]

    def digest(self) -> str:
        """SHA-256 of the canonical JSON form, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: object) -> Architecture:
        """Rebuild and check an architecture that came from the other party.

        Raises:
            ModelError: unknown or inconsistent operations, or one whose result no other one uses. The message may quote
                the other party, in printable characters and briefly.
        """
        try:
            return cls._checked(value)
        except ModelError as error:
            raise ModelError(_quotable(str(error))) from None

    @classmethod
    def _checked(cls, value: object) -> Architecture:
        try:
            architecture = cls.model_validate_json(json.dumps(value))
        except ValidationError as error:
            raise ModelError(f"not an architecture: {describe_validation(error, most=1)}") from None
        except (TypeError, ValueError, RecursionError):
            raise ModelError("not an architecture: it is no JSON, or nested too deeply") from None
        if not architecture.ops:
            raise ModelError("an architecture needs at least one operation")
        if len({op.name for op in architecture.ops}) != len(architecture.ops):
            raise ModelError("two operations of an architecture have the same name")
        _ = architecture.shapes
        used = used_by(architecture.ops, len(architecture.ops) - 1)
        for position, op in enumerate(architecture.ops):
            if position not in used:
                raise ModelError(f"operation {op.name}: no later operation uses its result; leave it out")
        return architecture


def parameter_shapes(op: Op) -> tuple[tuple[int, ...], tuple[int, ...] | None] | None:
    """Shapes of weight and bias, or None for an operation without parameters."""
    if not isinstance(op, Conv2d | Linear):
        return None
    return op.weight_shape, (op.weight_shape[0],) if op.bias else None


def used_by(ops: Sequence[Op], output: int) -> set[int]:
    """Positions of the operations that the one at position output depends on, and of itself."""
    used = {output}
    for position in range(output, -1, -1):
        if position in used:
            used.update(ops[position].inputs)
    return used - {NETWORK_INPUT}


def new_positions(kept: Sequence[int]) -> dict[int, int]:
    """From positions before to positions after, where only these operations are left."""
    return {NETWORK_INPUT: NETWORK_INPUT} | {old: new for new, old in enumerate(kept)}


def renumbered(ops: Sequence[Op], kept: Sequence[int]) -> list[Op]:
    """The operations at these positions, reading from each other."""
    position = new_positions(kept)
    return [ops[old].model_copy(update={"inputs": tuple(position[i] for i in ops[old].inputs)}) for old in kept]


def num_elements(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def _quotable(text: str) -> str:
    shown = text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}..."
    return "".join(character if character.isprintable() else "?" for character in shown)


def _check_size(what: str, shape: tuple[int, ...]) -> None:
    if num_elements(shape) > MAX_ELEMENTS:
        raise ModelError(f"{what} has shape {shape}, more than the {MAX_ELEMENTS} elements that are accepted")


def apply_op(
    op: Op, inputs: list[torch.Tensor], weight: torch.Tensor | None = None, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """One operation in plain torch: the oracle that every secure evaluation is held against."""
    x = inputs[0]
    match op:
        case Conv2d():
            assert weight is not None
            return F.conv2d(x, weight, bias, op.stride, op.padding, op.dilation, op.groups)
        case Linear():
            assert weight is not None
            return F.linear(x, weight, bias)
        case ReLU():
            return F.relu(x)
        case MaxPool2d():
            return F.max_pool2d(x, op.kernel, op.stride, op.padding, op.dilation, op.ceil_mode)
        case AvgPool2d():
            return F.avg_pool2d(x, op.kernel, op.stride, op.padding, count_include_pad=op.count_include_pad)
        case AdaptiveAvgPool2d():
            return F.adaptive_avg_pool2d(x, op.output_size)
        case Add():
            return x + inputs[1]
        case Flatten():
            return x.flatten(1)


def _meta_parameters(op: Op) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    shapes = parameter_shapes(op)
    if shapes is None:
        return None, None
    weight, bias = shapes
    return torch.empty(weight, device="meta"), None if bias is None else torch.empty(bias, device="meta")
