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
- Output: M adds one random ring element to all logits of a sample and sends its share to D, who learns the differences
  between the logits (1 round, 8 n bytes). M receives nothing.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from smule_crypten.models import architecture as arch
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.session import Session

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


def open_logits(session: Session, logits: SharedTensor, data_owner: int) -> torch.Tensor | None:
    """Reveal [logits] (N, C) to the data owner, each sample less its first logit, as float32; None at the other."""
    if session.rank != data_owner:
        offset = session.streams.local.ring_elements((len(logits.share), 1))
        session.channel.send(logits.share + offset)
        return None
    opened = logits.share + session.channel.receive(logits.share.shape, logits.share.dtype)
    relative: torch.Tensor = logits.encoder.decode(opened - opened[:, :1])
    return relative


def evaluate(
    session: Session, architecture: arch.Architecture, parameters: SharedParameters, inputs: SharedTensor
) -> SharedTensor:
    """[logits] of shape (N, num_classes) for [inputs] of shape (N, C, H, W)."""
    values: list[SharedTensor] = []
    for op in architecture.ops:
        operands = [inputs if i == arch.NETWORK_INPUT else values[i] for i in op.inputs]
        with session.meter.layer(op.name):
            values.append(_apply(op, operands, *parameters.get(op.name, (None, None))))
    return values[-1]


def _apply(op: arch.Op, operands: list[SharedTensor], weight: SharedTensor, bias: SharedTensor | None) -> SharedTensor:
    x = operands[0]
    match op:
        case arch.Conv2d():
            z = x.conv2d(weight, stride=op.stride, padding=op.padding, dilation=op.dilation, groups=op.groups)
            return z if bias is None else z + bias.reshape(1, -1, 1, 1)
        case arch.Linear():
            z = x.matmul(weight.t())
            return z if bias is None else z + bias
        case arch.ReLU():
            return x.relu()
        case arch.MaxPool2d():
            return _max_pool2d(x, op)
        case arch.AvgPool2d():
            return _avg_pool2d(x, op)
        case arch.AdaptiveAvgPool2d():
            return _adaptive_avg_pool2d(x, op)
        case arch.Add():
            return x + operands[1]
        case arch.Flatten():
            return x.flatten(1)


def _max_pool2d(x: SharedTensor, op: arch.MaxPool2d) -> SharedTensor:
    windows = _windows(_pad_for_max(x, op), op, _pooled_size(tuple(x.shape), op))
    while windows.size(0) > 1:
        half = windows.size(0) // 2
        first, second = windows[:half], windows[half : 2 * half]
        largest = second + (first - second).relu()
        odd = windows.size(0) % 2
        windows = crypten.cat([largest, windows[2 * half :]]) if odd else largest
    return windows.squeeze(0)


def _pooled_size(shape: tuple[int, ...], op: arch.MaxPool2d) -> tuple[int, int]:
    height, width = arch.apply_op(op, [torch.empty(shape, device="meta")]).shape[-2:]
    return height, width


def _pad_for_max(x: SharedTensor, op: arch.MaxPool2d) -> SharedTensor:
    """Pad so that every window is whole, also the last one of ceil_mode."""
    pads: list[int] = []
    output = _pooled_size(tuple(x.shape), op)
    for axis in (1, 0):
        needed = (output[axis] - 1) * op.stride[axis] + op.dilation[axis] * (op.kernel[axis] - 1) + 1
        after = max(0, needed - x.size(2 + axis) - op.padding[axis])
        pads += [op.padding[axis], after]
    return x.pad(tuple(pads), value=_PADDING_VALUE) if any(pads) else x


def _windows(x: SharedTensor, op: arch.MaxPool2d, output: tuple[int, int]) -> SharedTensor:
    """The k_h * k_w shifted views of x that a window compares, stacked in front: (k_h * k_w, N, C, H', W')."""
    height, width = ((output[axis] - 1) * op.stride[axis] + 1 for axis in (0, 1))
    shifts = [
        x[:, :, top : top + height : op.stride[0], left : left + width : op.stride[1]]
        for top in range(0, op.dilation[0] * op.kernel[0], op.dilation[0])
        for left in range(0, op.dilation[1] * op.kernel[1], op.dilation[1])
    ]
    return crypten.stack(shifts)


def _avg_pool2d(x: SharedTensor, op: arch.AvgPool2d) -> SharedTensor:
    summed = _with_share(F.avg_pool2d(x.share, op.kernel, op.stride, op.padding, divisor_override=1))
    if op.count_include_pad or op.padding == (0, 0):
        return summed.div(op.kernel[0] * op.kernel[1])
    ones = torch.ones(1, 1, *x.shape[-2:])
    return summed * F.avg_pool2d(ones, op.kernel, op.stride, op.padding, divisor_override=1).reciprocal()


def _adaptive_avg_pool2d(x: SharedTensor, op: arch.AdaptiveAvgPool2d) -> SharedTensor:
    """Sum over each window with 0/1 matrices, exactly, then divide by the window's size."""
    rows = _window_matrix(x.size(2), op.output_size[0])
    columns = _window_matrix(x.size(3), op.output_size[1])
    summed = _with_share(rows @ x.share @ columns.t())
    sizes = rows.sum(1).unsqueeze(1) * columns.sum(1)
    if bool((sizes == sizes[0, 0]).all()):
        return summed.div(int(sizes[0, 0])) if int(sizes[0, 0]) > 1 else summed
    return summed * sizes.double().reciprocal()


def _with_share(share: torch.Tensor) -> SharedTensor:
    """A new shared tensor at the session's scale. CrypTen's shallow_copy would write through to its original."""
    return crypten.mpc.MPCTensor.from_shares(share)


def _window_matrix(size: int, output_size: int) -> torch.Tensor:
    """(output_size, size) of 0 and 1: which inputs torch's adaptive pooling averages for which output."""
    output = torch.arange(output_size).unsqueeze(1)
    position = torch.arange(size)
    start = output * size // output_size
    stop = ((output + 1) * size + output_size - 1) // output_size
    return ((start <= position) & (position < stop)).long()
