"""From a torch.nn network to its public architecture and its private parameters.

torch.fx follows the forward function, so nothing passes through ONNX. BatchNorm is folded into the operation before
it (or becomes a 1x1 depthwise convolution where there is none), Dropout and Identity vanish. What has no
secret-shared counterpart is refused by name, with the remedy.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from smule_crypten.errors import ModelError, UnshareableModelError
from smule_crypten.models import architecture as arch
from smule_crypten.models.module_handlers import MODULE_HANDLERS, Parameters, Translation, flatten
from smule_crypten.models.remedies import refuse_function, refuse_module
from smule_crypten.models.torch_calls import CALLS, IN_PLACE, Call


@dataclass(frozen=True, kw_only=True)
class TranslatedNetwork:
    """architecture is public; parameters (operation name -> weight, bias; float64 on CPU) belong to the model owner."""

    architecture: arch.Architecture
    parameters: Parameters


def translate(model: nn.Module, input_shape: tuple[int, int, int]) -> TranslatedNetwork:
    """Translate the evaluation-mode behaviour of model; model itself is left as it is.

    Args:
        model: any torch.nn network that maps (N, *input_shape) to (N, num_classes).
        input_shape: (C, H, W).

    Raises:
        UnshareableModelError: names the module or function and what can replace it.
        ModelError: model does not accept such an input.
    """
    traced = _trace(copy.deepcopy(model).cpu().eval(), input_shape)
    translation = Translation(traced)
    output: fx.Node | None = None
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            translation.position[node] = arch.NETWORK_INPUT
        elif node.op == "output":
            output = node.args[0]
        else:
            _translate_node(translation, node)
    last = len(translation.ops) - 1
    if not isinstance(output, fx.Node) or last < 0 or translation.position.get(output) != last:
        raise UnshareableModelError(
            "the network", "its output is not its last operation", "return the logits tensor alone"
        )
    architecture = arch.Architecture(input_shape=input_shape, ops=tuple(translation.ops))
    return TranslatedNetwork(architecture=architecture, parameters=translation.parameters)


def _trace(model: nn.Module, input_shape: tuple[int, int, int]) -> fx.GraphModule:
    name = f"the network {type(model).__name__}"
    try:
        traced = fx.symbolic_trace(model)
    except Exception as error:
        raise UnshareableModelError(
            name,
            f"torch.fx cannot follow its forward function ({_first_line(error)})",
            "remove branches and loops that depend on the input, and keep layers in nn.ModuleList",
        ) from error
    if sum(node.op == "placeholder" for node in traced.graph.nodes) != 1:
        raise UnshareableModelError(name, "it does not take one input", "give it a single NCHW tensor")
    inputs_NCHW = torch.zeros(2, *input_shape)
    with torch.no_grad():
        try:
            model(inputs_NCHW)
        except Exception as error:
            raise ModelError(f"{name} does not accept inputs of shape {input_shape}: {_first_line(error)}") from error
        ShapeProp(traced).propagate(inputs_NCHW)
    return traced


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _translate_node(translation: Translation, node: fx.Node) -> None:
    if not node.args:
        raise refuse_function(node)
    if node.op == "call_module":
        module = translation.module.get_submodule(str(node.target))
        handler = MODULE_HANDLERS.get(type(module))
        if handler is None:
            raise refuse_module(str(node.target), module)
        handler(translation, node, module)
    elif node.op in ("call_function", "call_method"):
        if "tensor_meta" not in node.meta or not hasattr(node.meta["tensor_meta"], "shape"):
            return  # sizes and shapes: only ever arguments of a reshape
        call = CALLS.get(node.target)
        if call is None:
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
                node, arch.ReLU(name=node.name, inputs=translation.inputs(node)), in_place=_works_in_place(node)
            )
        case Call.ADD:
            if node.kwargs.get("alpha", 1) != 1:
                raise refuse_function(node)
            translation.append(
                node, arch.Add(name=node.name, inputs=translation.inputs(node, 2)), in_place=_works_in_place(node)
            )
        case Call.RESHAPE if isinstance(source, fx.Node):
            flatten(translation, node, source)
        case _:
            module = _pooling_module(node, call)
            MODULE_HANDLERS[type(module)](translation, node, module)


def _works_in_place(node: fx.Node) -> bool:
    return node.target in IN_PLACE or bool(node.kwargs.get("inplace", False))


def _pooling_module(node: fx.Node, call: Call) -> nn.Module:
    """The module that means the same as a call of torch.nn.functional."""
    constructor: type[nn.Module] | None = {
        Call.MAX_POOL: nn.MaxPool2d,
        Call.AVG_POOL: nn.AvgPool2d,
        Call.ADAPTIVE_AVG_POOL: nn.AdaptiveAvgPool2d,
    }.get(call)
    if constructor is None:
        raise refuse_function(node)
    if len(node.all_input_nodes) != 1:
        raise UnshareableModelError(
            f"{node.name} (pooling)",
            "the size of its window is computed in the forward function",
            "write the size as a number or use nn.AdaptiveAvgPool2d",
        )
    return constructor(*node.args[1:], **node.kwargs)
