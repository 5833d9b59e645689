"""What a translation is held against. Shared by the tests of translate."""

from __future__ import annotations

import copy

import torch
from torch import nn

from smule_crypten.models.architecture import NETWORK_INPUT, apply_op, lifted, lifted_shape
from smule_crypten.models.translate import TranslatedNetwork, translate

Shape = tuple[int, ...]
SHAPE = (2, 6, 6)


def randomize_statistics(model: nn.Module) -> nn.Module:
    """As if trained: a fresh BatchNorm is nearly the identity, and hides a wrong folding."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return model


def evaluate(network: TranslatedNetwork, inputs_NX: torch.Tensor) -> torch.Tensor:
    """The network's operations one after the other, in float64."""
    values: list[torch.Tensor] = []
    for op in network.architecture.ops:
        operands = [lifted(inputs_NX) if position == NETWORK_INPUT else values[position] for position in op.inputs]
        values.append(apply_op(op, operands, *network.parameters.get(op.name, (None, None))))
    return values[-1]


def assert_same(model: nn.Module, shape: Shape = SHAPE) -> TranslatedNetwork:
    """The translation computes what the model computes in evaluation mode, to the last digits of float64."""
    network = translate(model, shape)
    inputs_NX = torch.randn(3, *shape, dtype=torch.float64)
    with torch.no_grad():
        expected = copy.deepcopy(model).double().eval()(inputs_NX.clone())
    torch.testing.assert_close(evaluate(network, inputs_NX), lifted(expected), rtol=1e-10, atol=1e-10)
    assert network.architecture.output_shape == lifted_shape(tuple(expected.shape[1:]))
    return network


def kinds(network: TranslatedNetwork) -> list[str]:
    return [op.kind for op in network.architecture.ops]
