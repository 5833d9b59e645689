"""What one step of training on shares asks the dealer for, and so what it costs: rounds and bytes, exact.

The plan follows from the public architecture and the batch size alone. Each request is opened in one round, so the
cost of a step is read off its plan; mpc/full_training.py makes the requests in this order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import num_elements
from smule_crypten.models.pooling import comparisons, tournament
from smule_crypten.models.trainable import trained_positions
from smule_crypten.mpc.dealing import (
    RING_BYTES,
    AdditiveTriple,
    Request,
    Size,
    SquarePair,
    correction_bytes,
    corrections,
    elementwise_triple,
    matrix_triple,
    opened_elements,
    plan,
    relu_plan,
)
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import Cost

NAME = "full_training"
"""What the parties call it towards the dealer."""

EXP_ITERATIONS = 8
"""CrypTen's own: exp(x) is (1 + x / 2^8) squared 8 times."""


def reciprocal_settings(num_classes: int) -> tuple[float, int]:
    """First guess and number of Newton iterations for 1 / s, s between 1 and num_classes.

    The guess halves the worst relative error of both ends, which each iteration squares, until 17 bits are right.
    CrypTen's own guess costs an exponential more.
    """
    guess = 2.0 / (num_classes + 1)
    error = 1.0 - guess
    return guess, math.ceil(math.log2(17 * math.log(2) / -math.log(error)))


def step_plan(architecture: arch.Architecture, batch: int) -> Iterator[Request]:
    """Forward, softmax and backward of one batch, in order."""
    yield from plan(architecture, batch)
    yield from _softmax(batch, *architecture.output_shape)
    trained = trained_positions(architecture)
    for position in sorted(trained, reverse=True):
        passes_on = not trained.isdisjoint(architecture.ops[position].inputs)
        yield from _backward(architecture, position, batch, passes_on=passes_on)


def cost_of_step(architecture: arch.Architecture, batch: int, *, dealt: bool) -> Cost:
    """What a step costs each party: exact, without running anything. dealer_bytes go to one party, in turn."""
    requests = list(step_plan(architecture, batch))
    num_bytes = RING_BYTES * sum(map(opened_elements, requests))
    return Cost(
        rounds=len(requests),
        bytes_sent=num_bytes,
        bytes_received=num_bytes,
        dealer_bytes=sum(map(correction_bytes, requests)) if dealt else 0,
    )


def cost_of_opening(architecture: arch.Architecture) -> Cost:
    """What it costs each party to learn the trained weights."""
    shapes = [arch.parameter_shapes(op) for op in architecture.ops]
    sizes = [num_elements(shape) for pair in shapes if pair is not None for shape in pair if shape is not None]
    num_bytes = RING_BYTES * sum(sizes)
    return Cost(rounds=1, bytes_sent=num_bytes, bytes_received=num_bytes)


def deal_steps(
    architecture: arch.Architecture, num_samples: int, config: SchemeConfig, model_owner: Stream, data_owner: Stream
) -> Iterator[torch.Tensor]:
    """What the dealer sends the corrected party, called the model owner, for num_samples in batches of micro_batch."""
    for _ in range(num_samples // config.micro_batch):
        yield from corrections(step_plan(architecture, config.micro_batch), model_owner, data_owner)


def _softmax(batch: int, num_classes: int) -> Iterator[Request]:
    """The largest logit, the exponentials, the inverse of their sum, and the product."""
    for pairs in tournament(num_classes):
        yield from relu_plan((pairs, batch))
    for _ in range(EXP_ITERATIONS):
        yield SquarePair(size=(batch, num_classes))
    _, iterations = reciprocal_settings(num_classes)
    for _ in range(iterations - 1):  # the first one works on the public guess
        yield SquarePair(size=(batch, 1))
        yield elementwise_triple((batch, 1), (batch, 1))
    yield elementwise_triple((batch, num_classes), (batch, 1))


def _backward(architecture: arch.Architecture, position: int, batch: int, *, passes_on: bool) -> Iterator[Request]:
    op = architecture.ops[position]
    output = (batch, *architecture.shapes[position])
    match op:
        case arch.Conv2d():
            (shape,) = architecture.input_shapes(op)
            yield weight_gradient_triple(op, (batch, *shape), output)
            if passes_on:
                yield input_gradient_triple(op, (batch, *shape), output)
        case arch.Linear():
            out_features, in_features = op.weight_shape
            yield matrix_triple((out_features, batch), (batch, in_features))
            if passes_on:
                yield matrix_triple((batch, out_features), op.weight_shape)
        case arch.ReLU():
            yield elementwise_triple(output, output)
        case arch.MaxPool2d():
            for pairs in reversed(comparisons(op)):
                yield elementwise_triple((pairs, *output), (pairs, *output))


def weight_gradient_triple(op: arch.Conv2d, input_size: Size, output_size: Size) -> AdditiveTriple:
    """The gradient of a weight: a convolution of the inputs with the gradient, batch and channels exchanged.

    Stride and dilation swap. (CrypTen's own repeats the gradient for every input channel.)
    """
    batch, channels, *image = input_size
    return AdditiveTriple(
        size_a=(channels // op.groups, op.groups * batch, *image),
        size_b=(output_size[1], batch, *output_size[2:]),
        operation="conv2d",
        stride=op.dilation,
        padding=op.padding,
        dilation=op.stride,
        groups=op.groups,
    )


def input_gradient_triple(op: arch.Conv2d, input_size: Size, output_size: Size) -> AdditiveTriple:
    """The gradient of the inputs is the transposed convolution of the gradient."""
    return AdditiveTriple(
        size_a=output_size,
        size_b=op.weight_shape,
        operation="conv_transpose2d",
        stride=op.stride,
        padding=op.padding,
        output_padding=_output_padding(op, input_size, output_size),
        dilation=op.dilation,
        groups=op.groups,
    )


def _output_padding(op: arch.Conv2d, input_size: Size, output_size: Size) -> tuple[int, int]:
    """Rows and columns at the end of an image that no window of the convolution reaches."""
    rows, columns = (
        input_size[2 + axis]
        - (
            (output_size[2 + axis] - 1) * op.stride[axis]
            - 2 * op.padding[axis]
            + op.dilation[axis] * (op.weight_shape[2 + axis] - 1)
            + 1
        )
        for axis in (0, 1)
    )
    return rows, columns
