"""What the forward function of a network does, as a graph: torch.fx follows it, and every value's shape is noted."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn

from smule_crypten.errors import ModelError, UnshareableModelError
from smule_crypten.models.modules import copied, evaluation_mode
from smule_crypten.models.remedies import refuse_function
from smule_crypten.models.torch_calls import CALLS, changes_operand
from smule_crypten.models.usable import buffer_hint, check_finite, check_usable
from smule_crypten.types import InputShape

_BATCH = 2

_REMEDIES = {
    "dynamo-optimized": "remove torch.compile from it",
    "is not installed as a submodule": "keep layers in nn.ModuleList, which registers them",
}
"""Part of what torch.fx says -> what to do."""
_REMEDY = "remove branches and loops that depend on the input, and keep layers in nn.ModuleList"


def trace(model: nn.Module, input_shape: InputShape) -> fx.GraphModule:
    """The graph of a copy of model in evaluation mode, on the CPU, without what nobody uses.

    Each node whose value is a tensor holds its shape for a batch of 2 under meta["shape"].

    Raises:
        UnshareableModelError: model cannot be followed or copied, or has an effect that no operation stands for.
        ModelError: model cannot be used at all, or does not accept such an input.
    """
    check_usable(model)
    model = _evaluated_copy(model)
    check_finite(model)
    traced = _followed(model)
    inputs_NX = torch.zeros(_BATCH, *input_shape)
    with torch.no_grad():
        try:
            model(inputs_NX.clone())
        except Exception as error:  # any module may stand here
            remedy = buffer_hint(model) or "give a network for samples of this shape"
            raise ModelError(
                f"{label(model)} does not accept inputs of shape {input_shape}: {first_line(error)}; {remedy}"
            ) from error
        try:
            _ShapeNotes(traced).run(inputs_NX)
        except Exception as error:
            raise UnshareableModelError(
                label(model),
                f"what torch.fx follows of its forward function fails ({first_line(error)})",
                "define forward in the class of the network, and let it depend on nothing but its input",
            ) from error
    for node in traced.graph.nodes:
        if node.op in ("call_function", "call_method") and not node.users and "shape" not in node.meta:
            raise refuse_function(node)  # what is called without a result is called for an effect
    return traced


def label(model: nn.Module) -> str:
    return f"the network {type(model).__name__}"


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _evaluated_copy(model: nn.Module) -> nn.Module:
    try:
        with evaluation_mode(model):  # a forward function put on the instance stays that of model itself
            return copied(model).cpu().eval()
    except Exception as error:  # copying runs whatever the attributes define
        raise UnshareableModelError(
            label(model),
            f"it cannot be copied ({first_line(error)})",
            "keep nothing but modules, tensors and plain values as attributes",
        ) from error


def _followed(model: nn.Module) -> fx.GraphModule:
    tracer = _Tracer()
    try:
        graph = tracer.trace(model)
        traced = fx.GraphModule(tracer.root, graph)
    except Exception as error:  # whatever the forward function does with values that are not there
        reason = first_line(error)
        remedy = next((remedy for part, remedy in _REMEDIES.items() if part in reason), _REMEDY)
        raise UnshareableModelError(
            label(model), f"torch.fx cannot follow its forward function ({reason})", remedy
        ) from error
    if sum(node.op == "placeholder" for node in graph.nodes) != 1:
        raise UnshareableModelError(label(model), "it does not take one input", "give it a single tensor of samples")
    traced.graph.eliminate_dead_code(lambda node: _has_effect(traced, node))
    return traced


class _Proxy(fx.Proxy):
    """Sees `x += y` and `x[...] = y`, which torch.fx takes for `x = x + y` or refuses without a name."""

    def __iadd__(self, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})


class _Tracer(fx.Tracer):
    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)


class _ShapeNotes(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            n.meta["shape"] = tuple(result.shape)
        return result


def works_in_place(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node changes a tensor that others may read."""
    if node.op == "call_module":
        return bool(getattr(traced.get_submodule(str(node.target)), "inplace", False))
    return node.op in ("call_function", "call_method") and changes_operand(node)


def _has_effect(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node matters even where nobody reads its result."""
    if node.op in ("placeholder", "output") or works_in_place(traced, node):
        return True
    return node.op == "call_function" and not _is_of_torch(node)


def _is_of_torch(node: fx.Node) -> bool:
    """A function of PyTorch or Python's own, which does nothing beside its result. Others may do anything."""
    if node.target in CALLS:
        return True
    module = str(getattr(node.target, "__module__", None) or "torch")
    return module.split(".")[0] in ("torch", "_operator", "builtins", "math")
