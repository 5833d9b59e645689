"""Evaluation of a secret-shared network on secret-shared inputs, with CrypTen's protocols.

Notation: [v] is an additive sharing of v in Z_{2^64}, fixed point with f fractional bits; M owns the weights, D owns
the inputs. Rounds and bytes are for one party and one direction of the link, for n elements.

- Linear, Conv2d: CrypTen's Beaver product. 1. The provider deals [a], [b], [c = a * b]. 2. Open e = x - a and
  d = w - b (1 round, 8 (n_x + n_w) bytes). 3. [z] = [c] + e * [b] + [a] * d + e * d. 4. Each party divides its share
  by 2^f; an element is wrong by a wrap with probability about |z| / 2^64.
- ReLU: [x] to XOR shares by a carry tree (7 rounds), the sign bit back to [b] (1 round), [x * b] (1 round):
  232 n bytes in 9 rounds. Opened: masked triples only.
- Max pooling: max(a, b) = b + relu(a - b) in a tree over the window. CrypTen's own goes through a one-hot arg-max,
  which costs many times more.
- Average pooling, sums, flattening: local.
- Output: M sends its share of the logits to D (1 round, 8 n bytes). With opening "differences" it has added one random
  ring element to all logits of a sample, so that D learns the differences between them; with "values" D learns each.
  M receives nothing.
"""

from __future__ import annotations

from typing import Any

import torch

from smule_crypten.models import architecture as arch
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.pooling import AveragePool, SumPool, max_pool_padding, max_pool_windows, tournament
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.session import Session
from smule_crypten.types import LogitOpening

SharedTensor = Any
"""A crypten.mpc.MPCTensor; CrypTen carries no types."""

SharedParameters = dict[str, tuple[SharedTensor, SharedTensor | None]]

OUTPUT_LAYER = "opening"
_PADDING_VALUE = -(2**20)
"""Below every activation, and far enough from the edge of the ring for a difference not to wrap."""


def share_parameters(architecture: arch.Architecture, parameters: Parameters | None, owner: int) -> SharedParameters:
    """Share the owner's parameters; the other party passes None. Costs no traffic (pseudo-random zero sharing)."""
    shared: SharedParameters = {}
    for op in architecture.ops:
        shapes = arch.parameter_shapes(op)
        if shapes is None:
            continue
        weight_shape, bias_shape = shapes
        weight, bias = parameters[op.name] if parameters is not None else (None, None)
        shared[op.name] = (
            share_tensor(weight, weight_shape, owner),
            None if bias_shape is None else share_tensor(bias, bias_shape, owner),
        )
    return shared


def share_tensor(value: torch.Tensor | None, shape: tuple[int, ...], owner: int) -> SharedTensor:
    """[value] for the owner's value; the other party passes None and the public shape."""
    return crypten.mpc.MPCTensor(torch.zeros(shape) if value is None else value, src=owner)


def open_logits(
    session: Session,
    logits: SharedTensor,
    data_owner: int,
    noise_NC: torch.Tensor | None = None,
    opening: LogitOpening = "differences",
) -> torch.Tensor | None:
    """Reveal [logits] (N, C) to the data owner as float32; None at the other.

    Args:
        noise_NC: what the model owner adds.
        opening: with "differences" each sample less its first logit, and nothing of that; with "values" all logits.
    """
    hides_common = opening == "differences"
    if session.rank != data_owner:
        share = logits.share if noise_NC is None else logits.share + logits.encoder.encode(noise_NC)
        session.channel.send(share + session.streams.local.ring_elements((len(share), 1)) if hides_common else share)
        return None
    opened = logits.share + session.channel.receive(logits.share.shape, logits.share.dtype)
    found: torch.Tensor = logits.encoder.decode(opened - opened[:, :1] if hides_common else opened)
    return found


def evaluate(
    session: Session, architecture: arch.Architecture, parameters: SharedParameters, inputs: SharedTensor
) -> SharedTensor:
    """[logits] of shape (N, num_classes) for [inputs] as operations see them (architecture.py)."""
    values: list[SharedTensor] = []
    for op in architecture.ops:
        operands = [inputs if i == arch.NETWORK_INPUT else values[i] for i in op.inputs]
        with session.meter.layer(op.name):
            values.append(apply(op, operands, *parameters.get(op.name, (None, None)))[0])
    return values[-1]


Masks = tuple[SharedTensor, ...]
"""Which values a comparison let pass, [1] or [0] each at scale 1; what a gradient passes through."""


def apply(
    op: arch.Op, operands: list[SharedTensor], weight: SharedTensor | None, bias: SharedTensor | None
) -> tuple[SharedTensor, Masks]:
    """One operation, and the masks of its comparisons."""
    match op:
        case arch.ReLU():
            result, mask = relu(operands[0])
            return result, (mask,)
        case arch.MaxPool2d():
            return _max_pool2d(operands[0], op)
        case _:
            return _linear(op, operands, weight, bias), ()


def relu(x: SharedTensor) -> tuple[SharedTensor, SharedTensor]:
    mask = x.ge(0)
    return x * mask, mask


def largest(values: SharedTensor) -> tuple[SharedTensor, Masks]:
    """The largest along the first dimension, (n, ...) -> (...), and the masks of each level of the tree."""
    masks = []
    for pairs in tournament(values.size(0)):
        first, second = values[:pairs], values[pairs : 2 * pairs]
        difference, mask = relu(first - second)
        masks.append(mask)
        winners = second + difference
        odd = values.size(0) % 2
        values = crypten.cat([winners, values[2 * pairs :]]) if odd else winners
    return values.squeeze(0), tuple(masks)


def _linear(op: arch.Op, operands: list[SharedTensor], weight: SharedTensor, bias: SharedTensor | None) -> SharedTensor:
    x = operands[0]
    match op:
        case arch.Conv2d():
            z = x.conv2d(weight, stride=op.stride, padding=op.padding, dilation=op.dilation, groups=op.groups)
            return z if bias is None else z + bias.reshape(1, -1, 1, 1)
        case arch.Linear():
            z = x.matmul(weight.t())
            return z if bias is None else z + bias
        case arch.AvgPool2d() | arch.AdaptiveAvgPool2d():
            return _average_pool2d(x, op)
        case arch.Add():
            return x + operands[1]
        case arch.Flatten():
            return x.flatten(1)


def _max_pool2d(x: SharedTensor, op: arch.MaxPool2d) -> tuple[SharedTensor, Masks]:
    height, width = arch.apply_op(op, [torch.empty(x.shape, device="meta")]).shape[-2:]
    pads = max_pool_padding(op, (x.size(2), x.size(3)), (height, width))
    padded = x.pad(pads, value=_PADDING_VALUE) if any(pads) else x
    return largest(with_share(max_pool_windows(padded.share, op, (height, width))))


def _average_pool2d(x: SharedTensor, op: AveragePool) -> SharedTensor:
    """Sum over each window, exactly, then divide by how many values it averages."""
    pool = SumPool(op, (x.size(2), x.size(3)))
    summed = with_share(pool.sums(x.share))
    if not pool.is_uniform:
        return summed * pool.counts.double().reciprocal()
    return summed.div(pool.window) if pool.window > 1 else summed


def with_share(share: torch.Tensor) -> SharedTensor:
    """A new shared tensor at the session's scale. CrypTen's shallow_copy would write through to its original."""
    return crypten.mpc.MPCTensor.from_shares(share)
