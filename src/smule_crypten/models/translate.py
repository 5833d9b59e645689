"""From a torch.nn network to its public architecture and its private parameters.

torch.fx follows the forward function (tracing.py), so nothing passes through ONNX. BatchNorm is folded into the
linear layer before it (or becomes a 1x1 depthwise convolution where there is none), linear layers one after the other
become one where that is exact and cheaper (composition.py), Dropout and Identity vanish, and so does what has no part
in the output. What has no secret-shared counterpart is refused by name, with the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn

from smule_crypten.errors import ModelError, UnshareableModelError
from smule_crypten.models import architecture as arch
from smule_crypten.models.composition import compose
from smule_crypten.models.module_handlers import MODULE_HANDLERS, Parameters, Translation, flatten, handler_of
from smule_crypten.models.remedies import refuse_function, refuse_module
from smule_crypten.models.torch_calls import CALLS, Call, changes_operand
from smule_crypten.models.tracing import trace
from smule_crypten.types import InputShape


@dataclass(frozen=True, kw_only=True)
class TranslatedNetwork:
    """architecture is public; parameters (operation name -> weight, bias; float64 on CPU) belong to the model owner."""

    architecture: arch.Architecture
    parameters: Parameters

    def values(self, inputs_NX: torch.Tensor) -> list[torch.Tensor]:
        """What each operation gives, in plain torch, in the precision of inputs_NX and where they lie."""
        values: list[torch.Tensor] = []
        inputs_NX = arch.lifted(inputs_NX)
        for op in self.architecture.ops:
            operands = [inputs_NX if i == arch.NETWORK_INPUT else values[i] for i in op.inputs]
            weight, bias = self.parameters.get(op.name, (None, None))
            given = (None if tensor is None else tensor.to(inputs_NX) for tensor in (weight, bias))
            values.append(arch.apply_op(op, operands, *given))
        return values


@dataclass(frozen=True, kw_only=True)
class Translated:
    """A translation beside what it came from.

    results: nodes of graph, each with the position of the operation whose result, or the input, is its value.
    """

    network: TranslatedNetwork
    graph: fx.GraphModule
    results: tuple[tuple[fx.Node, int], ...]


def translate(model: nn.Module, input_shape: InputShape, *, composing: bool = True) -> TranslatedNetwork:
    """Translate the evaluation-mode behaviour of model; model itself is left as it is.

    torch.fx does not see everything that a module does: agreement.py compares.

    Args:
        model: any torch.nn network that maps (N, *input_shape) to (N, num_classes).
        input_shape: (features,), (channels, time) or (channels, height, width).
        composing: whether linear layers one after the other become one (composition.py); False for whoever trains the
            parameters.

    Raises:
        UnshareableModelError: names the module or function and what can replace it.
        ModelError: model does not accept such an input, or its weights are not finite.
    """
    return translate_with_graph(model, input_shape, composing=composing).network


def translate_with_graph(model: nn.Module, input_shape: InputShape, *, composing: bool = True) -> Translated:
    """As translate, with the graph that was followed."""
    traced = trace(model, input_shape)
    translation = Translation(traced)
    output: fx.Node | None = None
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            translation.position[node] = arch.NETWORK_INPUT
        elif node.op == "output":
            output = node.args[0]
        else:
            _translate_node(translation, node)
    last = translation.position.get(output, arch.NETWORK_INPUT) if isinstance(output, fx.Node) else arch.NETWORK_INPUT
    if last == arch.NETWORK_INPUT:
        raise UnshareableModelError(
            "the network", "its output is not the result of an operation", "return the logits tensor alone"
        )
    used = sorted(arch.used_by(translation.ops, last))
    architecture = arch.Architecture(input_shape=input_shape, ops=tuple(arch.renumbered(translation.ops, used)))
    parameters = {op.name: translation.parameters[op.name] for op in architecture.ops if arch.parameter_shapes(op)}
    new = arch.new_positions(used)
    results = [(node, new[position]) for node, position in translation.results if position in new]
    if composing:
        architecture, parameters, new = compose(architecture, parameters)
        results = [(node, new[position]) for node, position in results if position in new]
    _check_finite(parameters)
    network = TranslatedNetwork(architecture=architecture, parameters=parameters)
    return Translated(network=network, graph=traced, results=tuple(results))


def _check_finite(parameters: Parameters) -> None:
    """Finite weights and statistics may still give infinite weights, as with a BatchNorm of variance 0 and eps=0."""
    for name, tensors in parameters.items():
        if not all(bool(tensor.isfinite().all()) for tensor in tensors if tensor is not None):
            raise ModelError(f"layer {name}: its weights are not finite once BatchNorm is folded in; raise eps of it")


def _translate_node(translation: Translation, node: fx.Node) -> None:
    if not node.args:
        raise refuse_function(node)
    if node.op == "call_module":
        module = translation.module.get_submodule(str(node.target))
        handler = handler_of(module)
        if handler is None:
            raise refuse_module(str(node.target), module)
        handler(translation, node, module)
    elif node.op in ("call_function", "call_method"):
        if "shape" not in node.meta:
            return  # sizes and shapes: only ever arguments of a reshape
        call = CALLS.get(node.target)
        if call is None or "out" in node.kwargs:
            raise refuse_function(node)
        _translate_call(translation, node, call)
    else:
        raise refuse_function(node)


def _translate_call(translation: Translation, node: fx.Node, call: Call) -> None:
    source = node.args[0]
    match call:
        case Call.IDENTITY if isinstance(source, fx.Node):
            translation.alias(node, source)
        case Call.DROPOUT if isinstance(source, fx.Node):
            if node.kwargs.get("training", True):
                reason = "it drops in evaluation too"
                raise UnshareableModelError(f"{node.name} (dropout)", reason, "pass training=self.training")
            translation.alias(node, source)
        case Call.RELU:
            translation.append(
                node, arch.ReLU(name=node.name, inputs=translation.inputs(node)), in_place=changes_operand(node)
            )
        case Call.ADD:
            if node.kwargs.get("alpha", 1) != 1:
                raise refuse_function(node)
            translation.append(
                node, arch.Add(name=node.name, inputs=translation.inputs(node, 2)), in_place=changes_operand(node)
            )
        case Call.RESHAPE if isinstance(source, fx.Node):
            flatten(translation, node, source)
        case _:
            module = _pooling_module(node, call)
            MODULE_HANDLERS[type(module)](translation, node, module)


def _pooling_module(node: fx.Node, call: Call) -> nn.Module:
    """The module that means the same as a call of torch.nn.functional."""
    constructor: type[nn.Module] | None = {
        Call.MAX_POOL: nn.MaxPool2d,
        Call.AVG_POOL: nn.AvgPool2d,
        Call.ADAPTIVE_AVG_POOL: nn.AdaptiveAvgPool2d,
        Call.MAX_POOL_1D: nn.MaxPool1d,
        Call.AVG_POOL_1D: nn.AvgPool1d,
        Call.ADAPTIVE_AVG_POOL_1D: nn.AdaptiveAvgPool1d,
    }.get(call)
    if constructor is None:
        raise refuse_function(node)
    if len(node.all_input_nodes) != 1:
        raise UnshareableModelError(
            f"{node.name} (pooling)",
            "the size of its window is computed in the forward function",
            "write the size as a number or use nn.AdaptiveAvgPool1d or nn.AdaptiveAvgPool2d",
        )
    return constructor(*node.args[1:], **node.kwargs)
