"""Whether the translated network computes what the network itself computes, in the clear, on its owner's side.

torch.fx follows the forward function and nothing else. It does not see hooks on layers and on the network itself, a
forward function that was put on an instance, a view of a tensor that is changed in place later, autocast, what depends
on the size of a batch, or chance. So both are evaluated side by side before anybody is answered:

1. The network itself, in evaluation mode, on random inputs and own samples, in batches of 1, 2 and 5, and then again.
2. The translation on the same inputs, in float64; where that differs, in float32, too, to know what rounding does.
3. Each operation of the translation beside its node of the graph that torch.fx made. That names the first operation
   that differs, and finds differences that do not reach the output yet, as where the last layer is still zero. The
   same with other weights, since hooks may have parameters of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn

from smule_crypten.errors import UnshareableModelError
from smule_crypten.models import architecture as arch
from smule_crypten.models.modules import copied, device_of, evaluation_mode, is_plain_call
from smule_crypten.models.tracing import first_line, label, works_in_place
from smule_crypten.models.translate import Translated, TranslatedNetwork, translate, translate_with_graph
from smule_crypten.types import InputShape

BATCHES = ((1, 1.0), (2, 10.0), (5, 1.0))
"""Size, and the scale of random inputs. The second one is to leave the range where a bound is not felt."""

_TOLERANCE = 1e-4
_ROUNDING = 64.0
"""How much more the network itself may be off by rounding than its translation in float32 is."""
_EXACT = 1e-5
"""Of float64, as far as weights are not computed, as by weight_norm: those were float32 in the translation."""
_REMEDY = "write what it does into the forward function of the network, as operations on the tensors there"


def translate_checked(
    model: nn.Module, input_shape: InputShape, samples_NX: torch.Tensor | None = None
) -> TranslatedNetwork:
    """Whether a network can be evaluated on secret shares, found out without training it.

    The network is followed through its forward function, and the result compared with it on random inputs and given
    samples, since hooks and the like are not seen there. The network stays as it is.

    Args:
        model: (N, *input_shape) -> logits (N, outputs), on any device and in any mode.
        input_shape: of a sample, (features,), (channels, time) or (channels, height, width).
        samples_NX: own samples, normalised as for training, of which 5 are looked at; None for random inputs alone.

    Returns:
        ``architecture``, which is public, and ``parameters``, which are its owner's.

    Raises:
        UnshareableModelError: names the layer, the reason and what to use in its place.

    Example:
        >>> import torch, smule_crypten as smule
        >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3), torch.nn.ReLU())
        >>> [type(op).__name__ for op in smule.translate(network, (1, 8, 8)).architecture.ops]
        ['Flatten', 'Linear', 'ReLU']
        >>> try:
        ...     smule.translate(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Sigmoid()), (1, 8, 8))
        ... except smule.SmuleError as error:
        ...     print(str(error)[:50])
        1 (Sigmoid) cannot be evaluated on secret shares:
    """
    network = translate(model, input_shape)
    check_agreement(model, network, samples_NX)
    return network


def check_agreement(model: nn.Module, network: TranslatedNetwork, samples_NX: torch.Tensor | None = None) -> None:
    """Compare model with network, its translation: all that is described above. To be called before a run.

    Args:
        model: on any device and in any mode, which it keeps.
        samples_NX: own samples, normalized as for training; 5 of them are looked at.

    Raises:
        UnshareableModelError: names the first operation that differs, or the network as a whole.
    """
    check_answers(model, network, samples_NX)
    _check_operations(model, network.architecture.input_shape)
    with _other_weights(model):
        _check_operations(model, network.architecture.input_shape)


def check_answers(model: nn.Module, network: TranslatedNetwork, samples_NX: torch.Tensor | None = None) -> None:
    """The first two steps of check_agreement, and the third only to name the operation.

    To be called before answers are given, since weights have changed meanwhile.
    """
    batches = list(_batches(network.architecture.input_shape, samples_NX))
    with evaluation_mode(model), torch.no_grad():
        answers = [_answer(model, batch) for batch in batches]
        repeated = [_answer(model, batch) for batch in batches]
    for first, second in zip(answers, repeated, strict=True):
        _check_repeated(model, first, second)
    for batch, answer in zip(batches, answers, strict=True):
        _check_answer(model, network, batch, answer)


def _batches(shape: InputShape, samples_NX: torch.Tensor | None) -> Iterator[torch.Tensor]:
    """Random ones, always the same; the last one holds own samples from all over instead, if there are as many."""
    generator = torch.Generator().manual_seed(0)
    for size, scale in BATCHES:
        if size == BATCHES[-1][0] and samples_NX is not None and len(samples_NX) >= size:
            yield samples_NX[torch.arange(size) * len(samples_NX) // size].float().cpu()
        else:
            yield scale * torch.randn(size, *shape, generator=generator)


def _answer(model: nn.Module, inputs_NX: torch.Tensor) -> torch.Tensor:
    size = len(inputs_NX)
    try:
        logits = model(inputs_NX.to(device_of(model), copy=True))
    except Exception as error:  # any module may stand here
        raise UnshareableModelError(
            label(model), f"it fails on a batch of {size} ({first_line(error)})", "let it take batches of any size"
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.ndim == 0 or len(logits) != size:
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise UnshareableModelError(
            label(model), f"it answers a batch of {size} with {found}", "return one row of logits per sample"
        )
    return arch.lifted(logits.detach().cpu())


@contextmanager
def _other_weights(model: nn.Module) -> Iterator[None]:
    """Change all weights of model, and put them back.

    What a hook does may have no effect before its own parameter is trained. Not those of a copy, since hooks go on
    reading those of model.
    """
    generator = torch.Generator().manual_seed(0)
    parameters = list(model.parameters())
    weights = [parameter.detach().clone() for parameter in parameters]
    try:
        with torch.no_grad():
            for parameter, weight in zip(parameters, weights, strict=True):
                size = float(weight.abs().mean()) if weight.any() else 1.0
                parameter.add_(0.1 * size * torch.randn(weight.shape, generator=generator).to(weight))
        yield
    finally:
        with torch.no_grad():
            for parameter, weight in zip(parameters, weights, strict=True):
                parameter.copy_(weight)


def _check_repeated(model: nn.Module, first: torch.Tensor, second: torch.Tensor) -> None:
    off = _off(second, first)
    if not off <= _TOLERANCE * _largest(first):
        raise UnshareableModelError(
            label(model),
            f"it gives different answers to the same batch of {len(first)}, off by {off:.2g}",
            "take out of its evaluation what is drawn at random or changes with each call, such as dropout that does "
            "not look at self.training",
        )


@torch.no_grad()
def _check_answer(model: nn.Module, network: TranslatedNetwork, inputs_NX: torch.Tensor, answer: torch.Tensor) -> None:
    wanted = network.values(inputs_NX.double())[-1]
    off, allowed = _off(answer, wanted), _TOLERANCE * _largest(wanted)
    if off <= allowed:
        return
    rounding = _off(network.values(inputs_NX.to(device_of(model)))[-1].cpu(), wanted)
    half = _half_precision(model, inputs_NX)
    if half is None and (off <= allowed + _ROUNDING * rounding or _is_rounding(model, inputs_NX, wanted)):
        return
    _check_operations(model, network.architecture.input_shape, inputs_NX)
    cause, remedy = _cause(model, half)
    raise _refusal(label(model), off, wanted, cause, remedy)


@torch.no_grad()
def _check_operations(model: nn.Module, input_shape: InputShape, inputs_NX: torch.Tensor | None = None) -> None:
    """Compare each operation with its node; in float64, or in float32 where the network insists on that."""
    translated = translate_with_graph(model, input_shape)
    if inputs_NX is None:
        inputs_NX = list(_batches(input_shape, None))[1]
    found, precision = _node_values(translated, inputs_NX)
    wanted = translated.network.values(inputs_NX.to(precision))
    tolerance, rounding = (_EXACT, 1e-11) if precision is torch.float64 else (1e-3, 1e-5)
    largest = max(_largest(value) for value in (inputs_NX, *wanted))
    for node, position in translated.results:
        value = inputs_NX if position == arch.NETWORK_INPUT else wanted[position]
        off = _off(arch.lifted(found[node]), arch.lifted(value))
        if not off <= tolerance * _largest(value) + rounding * largest:
            cause, remedy = _cause_at(translated.graph, node)
            raise _refusal(_name(translated.graph, node), off, value, cause, remedy)


def _node_values(translated: Translated, inputs_NX: torch.Tensor) -> tuple[dict[fx.Node, torch.Tensor], torch.dtype]:
    graph, nodes = translated.graph, frozenset(node for node, _ in translated.results)
    try:
        recorder = _Recorder(graph.double(), nodes)
        recorder.run(inputs_NX.double())
    except Exception:  # a hook may hold float32 values, and then it says so in float32, too
        recorder = _Recorder(graph.float(), nodes)
        recorder.run(inputs_NX.clone())
        return recorder.values, torch.float32
    return recorder.values, torch.float64


class _Recorder(fx.Interpreter):
    """Keeps the values of some nodes as they are when they are computed."""

    def __init__(self, graph: fx.GraphModule, nodes: frozenset[fx.Node]) -> None:
        super().__init__(graph)
        self.values: dict[fx.Node, torch.Tensor] = {}
        self._nodes = nodes

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n in self._nodes:
            self.values[n] = result.detach().clone()
        return result


def _is_rounding(model: nn.Module, inputs_NX: torch.Tensor, wanted: torch.Tensor) -> bool:
    """Whether model, computed in float64 throughout, does what is wanted: then only rounding kept it from that."""
    with evaluation_mode(model):
        try:
            exact = copied(model).cpu().double()(inputs_NX.double())
        except Exception:  # a forward function or hook that insists on float32
            return False
    return _off(arch.lifted(exact), wanted) <= _EXACT * _largest(wanted)


def _half_precision(model: nn.Module, inputs_NX: torch.Tensor) -> torch.dtype | None:
    """The 16-bit type in which model, or a module in it, answers, as under autocast; None for none."""
    halves: list[torch.dtype] = []

    def note(module: nn.Module, inputs: object, result: object) -> None:
        if isinstance(result, torch.Tensor) and result.dtype in (torch.float16, torch.bfloat16):
            halves.append(result.dtype)

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with evaluation_mode(model):
            _answer(model, inputs_NX)
    finally:
        for handle in handles:
            handle.remove()
    return halves[0] if halves else None


def _cause(model: nn.Module, half: torch.dtype | None) -> tuple[str, str]:
    """Why the network as a whole differs where its operations do not, and the remedy."""
    if half is not None:
        return f"it computes in {half}, as under autocast", "take autocast out of its forward function"
    if model._forward_hooks or model._forward_pre_hooks:
        return "there is a hook on the network itself, which torch.fx does not see", _REMEDY
    if "forward" in vars(model):
        return "its forward function was put on the instance, and torch.fx follows that of the class", _REMEDY
    return "its forward function does something that torch.fx does not see", _REMEDY


def _cause_at(graph: fx.GraphModule, node: fx.Node) -> tuple[str, str]:
    module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if module is not None and module.training:
        return "it stays in training mode when the network is evaluated", "let train(False) of the network reach it"
    if module is not None and not is_plain_call(module):
        return "a hook, or a forward function put on the instance, changes what it does", _REMEDY
    if any(works_in_place(graph, other) for other in graph.graph.nodes):
        return "what it reads was changed in place through another view", "use operations that are not in place"
    return "something that torch.fx does not see changes what it does", _REMEDY


def _refusal(name: str, off: float, wanted: torch.Tensor, cause: str, remedy: str) -> UnshareableModelError:
    return UnshareableModelError(
        name, f"it would give other values there, off by {off:.2g} of up to {_largest(wanted):.2g}: {cause}", remedy
    )


def _name(graph: fx.GraphModule, node: fx.Node) -> str:
    """As the user wrote it: a layer, or a function or method."""
    if node.op == "call_module":
        return f"{node.target} ({type(graph.get_submodule(str(node.target))).__name__})"
    return f"{node.name} ({getattr(node.target, '__name__', node.target)})"


def _off(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference; infinite where the shapes differ, NaN where one of them is."""
    return float((found.double() - wanted.double()).abs().max()) if found.shape == wanted.shape else math.inf


def _largest(values: torch.Tensor) -> float:
    return float(values.abs().max())
