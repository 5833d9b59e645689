"""Correlated randomness: what is dealt, derived in the same way by the dealer and by the parties.

Dealer T shares one stream with each party. Notation: (v)_p is the share of party p. Whatever comes from a stream costs
no bytes; only one party, the corrected one (q, the model owner), receives what the streams cannot give.

- Additive triple c = a * b (product, matrix product or convolution): (a)_p, (b)_p of both parties and (c) of the other
  party from the streams; T sends (c)_q = (a_0 + a_1) * (b_0 + b_1) - (c)_other. 8 |c| bytes.
- Binary triple c = a & b: the same with XOR. 8 |c| bytes.
- Square c = a^2: the same with one factor. 8 |c| bytes.
- Random bit r, shared by XOR and additively (for the conversion of a bit): the XOR shares and the other party's
  additive share from the streams; T sends (r)_q = r - (r)_other. 8 |r| bytes.

Every value that a party holds is uniform and independent of the other party's shares, so it can be simulated.

CrypTen's wraps serve the truncation protocol of three parties and more, which is out of scope: each of two parties
divides its own share, without a message and without correlated randomness.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field

from smule_crypten.config.sections import Section
from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import comparisons
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import PARTY_NAMES

RING_BYTES = 8
Operation = Literal["mul", "matmul", "conv2d", "conv_transpose2d"]
Size = tuple[int, ...]
Entropy = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""What a party or the dealer contributes to the key of their stream: 256 bits in hexadecimal."""


class AdditiveTriple(Section):
    """size_a and size_b are the shapes of the factors; the other fields are torch's for a convolution."""

    size_a: Size
    size_b: Size
    operation: Operation
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    output_padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def product(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """`a * b` in the ring of 2^64 elements."""
        if self.operation == "conv2d":
            return torch.conv2d(a, b, None, self.stride, self.padding, self.dilation, self.groups)
        if self.operation == "conv_transpose2d":
            options = self.stride, self.padding, self.output_padding, self.groups, self.dilation
            return torch.conv_transpose2d(a, b, None, *options)
        return a.matmul(b) if self.operation == "matmul" else a * b

    @property
    def result_size(self) -> Size:
        a, b = (torch.empty(size, device="meta") for size in (self.size_a, self.size_b))
        return tuple(self.product(a, b).shape)


class BinaryTriple(Section):
    size: Size

    @property
    def result_size(self) -> Size:
        return self.size


class SquarePair(Section):
    size: Size

    @property
    def result_size(self) -> Size:
        return self.size


class SharedBit(Section):
    size: Size

    @property
    def result_size(self) -> Size:
        return self.size


Request = AdditiveTriple | BinaryTriple | SquarePair | SharedBit
Shares = tuple[torch.Tensor, ...]


def correction_bytes(request: Request) -> int:
    """What the dealer sends for this request."""
    return RING_BYTES * arch.num_elements(request.result_size)


def opened_elements(request: Request) -> int:
    """Ring elements that each party sends the other to use what was dealt, in one round."""
    match request:
        case AdditiveTriple():
            return arch.num_elements(request.size_a) + arch.num_elements(request.size_b)
        case BinaryTriple():
            return 2 * arch.num_elements(request.size)
        case SquarePair() | SharedBit():
            return arch.num_elements(request.size)


def party_shares(request: Request, stream: Stream, correction: torch.Tensor | None) -> Shares:
    """One party's shares; correction is what the dealer sent, None at the party that needs none."""
    factors = _factors(request, stream)
    if isinstance(request, SharedBit):
        (bit,) = factors
        return bit, _own_or(correction, request, stream)
    return *factors, _own_or(correction, request, stream)


def dealer_correction(request: Request, corrected: Stream, other: Stream) -> torch.Tensor:
    """What the corrected party must receive."""
    mine, theirs = _factors(request, corrected), _factors(request, other)
    other_result = other.ring_elements(request.result_size)
    match request:
        case AdditiveTriple():
            return request.product(mine[0] + theirs[0], mine[1] + theirs[1]) - other_result
        case BinaryTriple():
            return ((mine[0] ^ theirs[0]) & (mine[1] ^ theirs[1])) ^ other_result
        case SquarePair():
            return (mine[0] + theirs[0]).square() - other_result
        case SharedBit():
            return (mine[0] ^ theirs[0]) - other_result


def _factors(request: Request, stream: Stream) -> Shares:
    match request:
        case AdditiveTriple():
            return stream.ring_elements(request.size_a), stream.ring_elements(request.size_b)
        case BinaryTriple():
            return stream.ring_elements(request.size), stream.ring_elements(request.size)
        case SquarePair():
            return (stream.ring_elements(request.size),)
        case SharedBit():
            return (stream.bits(request.size, 1),)


def _own_or(correction: torch.Tensor | None, request: Request, stream: Stream) -> torch.Tensor:
    return stream.ring_elements(request.result_size) if correction is None else correction


def corrections(requests: Iterator[Request], corrected: Stream, other: Stream) -> Iterator[torch.Tensor]:
    """What the dealer sends to the corrected party, one tensor a request."""
    return (dealer_correction(request, corrected, other) for request in requests)


def stream_purpose(rank: int, exchange: int, model_owner: int) -> str:
    """What separates the key of a stream between the dealer and a party from all others of the same entropy."""
    party, owner = PARTY_NAMES[rank], PARTY_NAMES[model_owner]
    return f"dealer and party {party}, exchange {exchange}, network of party {owner}"


def plan(architecture: arch.Architecture, batch: int) -> Iterator[Request]:
    """What the evaluation of a network on a micro-batch of `batch` inputs asks for, in order (mpc/network.py)."""
    for position, op in enumerate(architecture.ops):
        match op:
            case arch.Conv2d():
                (shape,) = architecture.input_shapes(op)
                yield convolution_triple(op, (batch, *shape))
            case arch.Linear():
                out_features, in_features = op.weight_shape
                yield matrix_triple((batch, in_features), (in_features, out_features))
            case arch.ReLU():
                yield from relu_plan((batch, *architecture.shapes[position]))
            case arch.MaxPool2d():
                for pairs in comparisons(op):
                    yield from relu_plan((pairs, batch, *architecture.shapes[position]))


_CARRY_LEVELS = 6
"""log2 of the 64 bits of a ring element."""


def convolution_triple(op: arch.Conv2d, input_size: Size) -> AdditiveTriple:
    """For the convolution of inputs of this size, the batch included."""
    return AdditiveTriple(
        size_a=input_size,
        size_b=op.weight_shape,
        operation="conv2d",
        stride=op.stride,
        padding=op.padding,
        dilation=op.dilation,
        groups=op.groups,
    )


def matrix_triple(size_a: Size, size_b: Size) -> AdditiveTriple:
    return AdditiveTriple(size_a=size_a, size_b=size_b, operation="matmul")


def relu_plan(size: Size) -> Iterator[Request]:
    """CrypTen's comparison: the first AND of the carry tree, its levels, the sign bit, and the product."""
    yield BinaryTriple(size=(1, *size))
    for _ in range(_CARRY_LEVELS):
        yield BinaryTriple(size=(2, 1, *size))
    yield SharedBit(size=size)
    yield elementwise_triple(size, size)


def elementwise_triple(size_a: Size, size_b: Size) -> AdditiveTriple:
    """For a product of elements; a factor may be broadcast."""
    return AdditiveTriple(size_a=size_a, size_b=size_b, operation="mul")
