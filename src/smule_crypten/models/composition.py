"""Linear layers one after the other as one layer: the same function, with nothing in between that has to be rounded.

Two convolutions with nothing but average pooling between them are one convolution, and two matrices are one matrix. On
shares every value between two products is rounded, which costs as much as a ReLU; inside of one product it costs
nothing. The composed layer has a larger kernel, whose stride is the product of all strides.

It is exact at every pixel, those at the border included, as long as nothing is padded but the input of the first of
them. A padding in between puts zeros where one convolution would see the border of the image and the bias, so such
layers stay apart: pad the first layer by as much as all of them need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from smule_crypten.models import architecture as arch
from smule_crypten.models.architecture import num_elements
from smule_crypten.models.module_handlers import Parameters

_SAMPLES = 16
"""A value that is rounded costs more than five times what a weight does: a composition pays from three samples on."""
_MOST_STRIDE = 4096
"""Of an operation (architecture.PositivePair)."""


@dataclass(frozen=True)
class _Chain:
    """Positions of a layer, the average poolings after it and the layer that alone reads the result."""

    first: int
    pools: tuple[int, ...]
    second: int


def compose(
    architecture: arch.Architecture, parameters: Parameters
) -> tuple[arch.Architecture, Parameters, dict[int, int]]:
    """The same function with fewer layers, where that sends less; which layers, follows from the architecture alone.

    A composition may have more weights, which are sent once a set of weights. It is made only if those are no more than
    the values that it saves in _SAMPLES samples.

    Returns:
        The architecture, its parameters, and the new positions of operations that are left: those between two layers
        are not, and of the layers the second one is.
    """
    ops, parameters = list(architecture.ops), dict(parameters)
    old = list(range(len(ops)))
    while (chain := _next_chain(architecture)) is not None:
        first, second = ops[chain.first], ops[chain.second]
        pools = [ops[position] for position in chain.pools]
        assert isinstance(first, arch.Conv2d | arch.Linear)
        assert isinstance(second, arch.Conv2d | arch.Linear)
        parameters[second.name] = _composed(first, pools, parameters.pop(first.name), parameters[second.name])
        ops[chain.second] = _operation(first, pools, second)
        kept = [i for i in range(len(ops)) if i not in (chain.first, *chain.pools)]
        ops, old = arch.renumbered(ops, kept), [old[i] for i in kept]
        architecture = arch.Architecture(input_shape=architecture.input_shape, ops=tuple(ops))
    new = {arch.NETWORK_INPUT: arch.NETWORK_INPUT} | {before: after for after, before in enumerate(old)}
    return architecture, parameters, new


def _next_chain(architecture: arch.Architecture) -> _Chain | None:
    readers: dict[int, list[int]] = {}
    for position, op in enumerate(architecture.ops):
        for source in op.inputs:
            readers.setdefault(source, []).append(position)
    for position, op in enumerate(architecture.ops):
        if isinstance(op, arch.Conv2d | arch.Linear):
            chain = _chain(architecture, position, readers)
            if chain is not None and _is_worth_it(architecture, chain):
                return chain
    return None


def _chain(architecture: arch.Architecture, first: int, readers: dict[int, list[int]]) -> _Chain | None:
    pools: list[int] = []
    position = first
    while len(following := readers.get(position, [])) == 1:
        (position,) = following
        op = architecture.ops[position]
        if isinstance(op, arch.AvgPool2d) and op.padding == (0, 0):
            pools.append(position)
            continue
        can_be_composed = _fit(architecture.ops[first], op)
        return _Chain(first, tuple(pools), position) if can_be_composed else None
    return None


def _fit(first: arch.Op, second: arch.Op) -> bool:
    if isinstance(first, arch.Linear):
        return isinstance(second, arch.Linear)
    both = [op for op in (first, second) if isinstance(op, arch.Conv2d) and op.groups == 1 and op.dilation == (1, 1)]
    return len(both) == 2 and both[1].padding == (0, 0)


def _is_worth_it(architecture: arch.Architecture, chain: _Chain) -> bool:
    """Whether no more weights come than values of _SAMPLES samples go."""
    ops = architecture.ops
    first, second, pools = ops[chain.first], ops[chain.second], [ops[position] for position in chain.pools]
    assert isinstance(first, arch.Conv2d | arch.Linear)
    assert isinstance(second, arch.Conv2d | arch.Linear)
    weight_shape, stride = _size(first, pools, second)
    (saved,) = architecture.input_shapes(second)
    before = num_elements(first.weight_shape) + num_elements(second.weight_shape)
    return max(stride) <= _MOST_STRIDE and num_elements(weight_shape) - before <= _SAMPLES * num_elements(saved)


def _size(
    first: arch.WeightedOp, pools: Sequence[arch.Op], second: arch.WeightedOp
) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Shape of the weight of the composition, and its stride."""
    if isinstance(first, arch.Linear) or isinstance(second, arch.Linear):
        return (second.weight_shape[0], first.weight_shape[1]), (1, 1)
    kernel, stride = [first.weight_shape[2], first.weight_shape[3]], list(first.stride)
    for op in (*pools, second):
        assert isinstance(op, arch.AvgPool2d | arch.Conv2d)
        window = op.kernel if isinstance(op, arch.AvgPool2d) else (op.weight_shape[2], op.weight_shape[3])
        for axis in (0, 1):
            kernel[axis] += (window[axis] - 1) * stride[axis]
            stride[axis] *= op.stride[axis]
    return (second.weight_shape[0], first.weight_shape[1], kernel[0], kernel[1]), (stride[0], stride[1])


def _operation(first: arch.WeightedOp, pools: Sequence[arch.Op], second: arch.WeightedOp) -> arch.WeightedOp:
    """The composition as an operation, by the name of the second layer."""
    shape, stride = _size(first, pools, second)
    changes: dict[str, object] = {
        "inputs": first.inputs,
        "weight_shape": shape,
        "bias": first.bias or second.bias,
    }
    if isinstance(first, arch.Conv2d):
        changes |= {"stride": stride, "padding": first.padding}
    return second.model_copy(update=changes)


_WeightAndBias = tuple[torch.Tensor, torch.Tensor | None]


def _composed(
    first: arch.WeightedOp, pools: Sequence[arch.Op], of_first: _WeightAndBias, of_second: _WeightAndBias
) -> _WeightAndBias:
    """Its weight and bias. A transposed convolution is what composes kernels: it adds one at all taps of the other."""
    (inner, inner_bias), (outer, bias) = of_first, of_second
    if isinstance(first, arch.Linear):
        weight = outer @ inner
    else:
        stride = first.stride
        for pool in pools:
            assert isinstance(pool, arch.AvgPool2d)
            mean = inner.new_full((1, 1, *pool.kernel), 1 / num_elements(pool.kernel))
            spread = F.conv_transpose2d(mean, inner.flatten(0, 1).unsqueeze(0), stride=stride)
            inner = spread.view(*inner.shape[:2], *spread.shape[2:])
            stride = (stride[0] * pool.stride[0], stride[1] * pool.stride[1])
        weight = F.conv_transpose2d(outer, inner, stride=stride)
    if inner_bias is not None:
        through = outer.flatten(2).sum(2) @ inner_bias if outer.dim() == 4 else outer @ inner_bias
        bias = through if bias is None else bias + through
    return weight, bias
