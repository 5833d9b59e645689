"""One handler for each torch.nn module that can be shared, and the state they build up together.

Layers over time become the operations on images of height 1 (architecture.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.parametrize import is_parametrized

from smule_crypten.errors import UnshareableModelError
from smule_crypten.models import architecture as arch
from smule_crypten.models.batch_norm import as_convolution, factor_and_offset, folded, may_stand_between
from smule_crypten.models.remedies import refuse_function
from smule_crypten.models.torch_calls import conv_padding, lifted_pair

Parameters = dict[str, tuple[torch.Tensor, torch.Tensor | None]]


@dataclass
class Translation:
    """The operations found so far. Weighted operations may still change while BatchNorm is folded in.

    results: nodes in the order of the graph, each with the position of the operation that gives its value. Where that
    is folded into one operation with what comes after, only the last of them has it.
    """

    module: fx.GraphModule
    ops: list[arch.Op] = field(default_factory=list)
    results: list[tuple[fx.Node, int]] = field(default_factory=list)
    parameters: Parameters = field(default_factory=dict)
    position: dict[fx.Node, int] = field(default_factory=dict)

    def append(self, node: fx.Node, op: arch.Op, *, in_place: bool = False) -> None:
        """in_place: whoever reads the first operand afterwards reads the result of op."""
        self.ops.append(op)
        self.results.append((node, len(self.ops) - 1))
        for overwritten in self.readable_as(op.inputs[0]) if in_place else ():
            self.position[overwritten] = len(self.ops) - 1
        self.position[node] = len(self.ops) - 1

    def alias(self, node: fx.Node, source: fx.Node) -> None:
        self.position[node] = self.position[source]
        self.results.append((node, self.position[node]))

    def readable_as(self, position: int) -> list[fx.Node]:
        """All nodes whose value is the result of the operation at this position."""
        return [node for node, found in self.position.items() if found == position]

    def is_only_reader(self, node: fx.Node, position: int) -> bool:
        names = self.readable_as(position)
        return {user for name in names for user in name.users} - set(names) == {node}

    def inputs(self, node: fx.Node, count: int = 1) -> tuple[int, ...]:
        sources = node.args[:count]
        if len(sources) != count or not all(isinstance(s, fx.Node) and s in self.position for s in sources):
            raise refuse_function(node)
        return tuple(self.position[s] for s in sources if isinstance(s, fx.Node))


def flatten(translation: Translation, node: fx.Node, source: fx.Node) -> None:
    before, after = source.meta["shape"], node.meta["shape"]
    if after == before:
        translation.alias(node, source)
    elif len(after) == 2 and after[0] == before[0]:
        translation.append(node, arch.Flatten(name=node.name, inputs=translation.inputs(node)))
    else:
        raise refuse_function(node)


def _linear(translation: Translation, node: fx.Node, module: nn.Linear) -> None:
    if len(node.meta["shape"]) != 2:
        raise UnshareableModelError(
            f"{node.target} (Linear)", "it is applied to an input that is not flat", "flatten to (N, features) first"
        )
    op = arch.Linear(
        name=node.name,
        inputs=translation.inputs(node),
        weight_shape=(module.out_features, module.in_features),
        bias=module.bias is not None,
    )
    translation.parameters[op.name] = _detached(module.weight), _detached_optional(module.bias)
    translation.append(node, op)


def _convolution(translation: Translation, node: fx.Node, module: nn.Conv1d | nn.Conv2d) -> None:
    axes = _axes(node, module)
    weight = _lifted_weight(_detached(module.weight))
    op = arch.Conv2d(
        name=node.name,
        inputs=translation.inputs(node),
        weight_shape=_shape4(weight),
        stride=lifted_pair(module.stride, axes, 1),
        padding=lifted_pair(conv_padding(str(node.target), module), axes, 0),
        dilation=lifted_pair(module.dilation, axes, 1),
        groups=module.groups,
        bias=module.bias is not None,
    )
    translation.parameters[op.name] = weight, _detached_optional(module.bias)
    translation.append(node, op)


def _batch_norm(translation: Translation, node: fx.Node, module: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    factor, offset = factor_and_offset(str(node.target), module)
    (position,) = translation.inputs(node)
    if passed := _made_by(translation, node, position):
        layer = translation.ops[passed[-1]]
        translation.parameters[layer.name] = folded(*translation.parameters[layer.name], factor, offset)
        translation.ops[passed[-1]] = layer.model_copy(update={"bias": True})
        translation.position[node] = position
        unchanged = [result for result in translation.results if result[1] not in passed]
        translation.results = [*unchanged, (node, position)]
    elif len(node.meta["shape"]) > 2:
        op = as_convolution(node.name, translation.inputs(node), factor.numel())
        translation.parameters[op.name] = factor.reshape(-1, 1, 1, 1), offset
        translation.append(node, op)
    else:
        raise UnshareableModelError(
            f"{node.target} (BatchNorm1d)",
            "no linear layer or convolution stands before it",
            "put it directly after nn.Linear or nn.Conv1d",
        )


def _made_by(translation: Translation, node: fx.Node, position: int) -> list[int]:
    """Positions from what node reads back to the linear layer that alone makes it; empty if none does."""
    passed: list[int] = []
    reader = node
    while position != arch.NETWORK_INPUT and translation.is_only_reader(reader, position):
        op = translation.ops[position]
        passed.append(position)
        if isinstance(op, arch.Conv2d | arch.Linear):
            return passed
        if not may_stand_between(op):
            return []
        reader = next(found for found in translation.readable_as(position) if found.name == op.name)
        (position,) = op.inputs
    return []


def _relu(translation: Translation, node: fx.Node, module: nn.ReLU) -> None:
    op = arch.ReLU(name=node.name, inputs=translation.inputs(node))
    translation.append(node, op, in_place=module.inplace)


def _max_pool(translation: Translation, node: fx.Node, module: nn.MaxPool1d | nn.MaxPool2d) -> None:
    axes = _axes(node, module)
    if module.return_indices:
        raise UnshareableModelError(
            _kind_of(node, module), "the positions of the maxima are not computed", "set return_indices=False"
        )
    op = arch.MaxPool2d(
        name=node.name,
        inputs=translation.inputs(node),
        kernel=lifted_pair(module.kernel_size, axes, 1),
        stride=lifted_pair(module.stride or module.kernel_size, axes, 1),
        padding=lifted_pair(module.padding, axes, 0),
        dilation=lifted_pair(module.dilation, axes, 1),
        ceil_mode=module.ceil_mode,
    )
    translation.append(node, op)


def _avg_pool(translation: Translation, node: fx.Node, module: nn.AvgPool1d | nn.AvgPool2d) -> None:
    axes = _axes(node, module)
    if module.ceil_mode or getattr(module, "divisor_override", None) is not None:
        raise UnshareableModelError(
            _kind_of(node, module), "ceil_mode and divisor_override are not supported", "pad the input instead"
        )
    op = arch.AvgPool2d(
        name=node.name,
        inputs=translation.inputs(node),
        kernel=lifted_pair(module.kernel_size, axes, 1),
        stride=lifted_pair(module.stride or module.kernel_size, axes, 1),
        padding=lifted_pair(module.padding, axes, 0),
        count_include_pad=module.count_include_pad,
    )
    translation.append(node, op)


def _adaptive_avg_pool(
    translation: Translation, node: fx.Node, module: nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d
) -> None:
    _axes(node, module)
    _, height, width = arch.lifted_shape(node.meta["shape"][1:])
    op = arch.AdaptiveAvgPool2d(name=node.name, inputs=translation.inputs(node), output_size=(height, width))
    translation.append(node, op)


def _flatten_module(translation: Translation, node: fx.Node, module: nn.Flatten) -> None:
    source = node.args[0]
    if not isinstance(source, fx.Node):
        raise refuse_function(node)
    flatten(translation, node, source)


def _vanish(translation: Translation, node: fx.Node, module: nn.Module) -> None:
    source = node.args[0]
    if not isinstance(source, fx.Node):
        raise refuse_function(node)
    translation.alias(node, source)


def _axes(node: fx.Node, module: nn.Module) -> int:
    """Over how many axes a convolution or pooling slides: 1 for time, 2 for height and width.

    Raises:
        UnshareableModelError: its input has another number of axes, whose first one PyTorch then takes for channels.
    """
    axes, source = (1 if type(module).__name__.endswith("1d") else 2), node.args[0]
    if not isinstance(source, fx.Node) or len(source.meta["shape"]) != axes + 2:
        shape = "(N, channels, time)" if axes == 1 else "(N, channels, height, width)"
        raise UnshareableModelError(
            _kind_of(node, module), f"it is applied to an input that is not {shape}", "use the layer for such inputs"
        )
    return axes


def _lifted_weight(weight: torch.Tensor) -> torch.Tensor:
    """OIHW; a kernel over time has height 1."""
    return weight.unsqueeze(2) if weight.dim() == 3 else weight


def _kind_of(node: fx.Node, module: nn.Module) -> str:
    name = str(node.target) if node.op == "call_module" else node.name
    return f"{name} ({type(module).__name__})"


def _detached(tensor: torch.Tensor) -> torch.Tensor:
    """Its numbers alone: a subclass of Tensor may compute something else with them."""
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.detach().as_subclass(torch.Tensor).double()


def _detached_optional(tensor: torch.Tensor | None) -> torch.Tensor | None:
    return None if tensor is None else _detached(tensor)


def _shape4(weight: torch.Tensor) -> tuple[int, int, int, int]:
    out_channels, in_channels, height, width = weight.shape
    return out_channels, in_channels, height, width


def handler_of(module: nn.Module) -> Callable[[Translation, fx.Node, Any], None] | None:
    """The handler for the type of module, or for the type that a parametrization was put on."""
    kind = type(module)
    return MODULE_HANDLERS.get(kind.__bases__[0] if is_parametrized(module) else kind)


MODULE_HANDLERS: dict[type[nn.Module], Callable[[Translation, fx.Node, Any], None]] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.ReLU: _relu,
    nn.MaxPool1d: _max_pool,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool1d: _avg_pool,
    nn.AvgPool2d: _avg_pool,
    nn.AdaptiveAvgPool1d: _adaptive_avg_pool,
    nn.AdaptiveAvgPool2d: _adaptive_avg_pool,
    nn.Flatten: _flatten_module,
    nn.Identity: _vanish,
    nn.Dropout: _vanish,
    nn.Dropout1d: _vanish,
    nn.Dropout2d: _vanish,
}
