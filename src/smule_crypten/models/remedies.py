"""Why a module cannot be shared, and what to use in its place."""

from __future__ import annotations

from torch import fx, nn

from smule_crypten.errors import UnshareableModelError

_NONLINEAR = "only comparisons and products are exact on shares, and this function needs an approximation"
_STATISTICS = "it divides by a statistic of its secret input"
_BATCH_NORM = "use nn.BatchNorm1d or nn.BatchNorm2d, which folds into the layer before it"

_REMEDIES: dict[type[nn.Module], tuple[str, str]] = {
    nn.Softmax: ("the data owner applies softmax in plaintext", "remove it and return logits"),
    nn.LogSoftmax: ("the data owner applies softmax in plaintext", "remove it and return logits"),
    nn.Sigmoid: (_NONLINEAR, "use nn.ReLU"),
    nn.Tanh: (_NONLINEAR, "use nn.ReLU"),
    nn.GELU: (_NONLINEAR, "use nn.ReLU"),
    nn.SiLU: (_NONLINEAR, "use nn.ReLU"),
    nn.ELU: (_NONLINEAR, "use nn.ReLU"),
    nn.Hardswish: (_NONLINEAR, "use nn.ReLU"),
    nn.LeakyReLU: ("it is not implemented", "use nn.ReLU"),
    nn.ReLU6: ("it is not implemented", "use nn.ReLU"),
    nn.LayerNorm: (_STATISTICS, _BATCH_NORM),
    nn.GroupNorm: (_STATISTICS, _BATCH_NORM),
    nn.InstanceNorm1d: (_STATISTICS, _BATCH_NORM),
    nn.InstanceNorm2d: (_STATISTICS, _BATCH_NORM),
    nn.AdaptiveMaxPool1d: ("it is not implemented", "use nn.MaxPool1d or nn.AdaptiveAvgPool1d"),
    nn.AdaptiveMaxPool2d: ("it is not implemented", "use nn.MaxPool2d or nn.AdaptiveAvgPool2d"),
    nn.ConvTranspose1d: ("it is not implemented", "use nn.Conv1d"),
    nn.ConvTranspose2d: ("it is not implemented", "use nn.Conv2d"),
    nn.Conv3d: ("samples have at most three axes", "use nn.Conv2d"),
    nn.RNN: (_NONLINEAR, "use nn.Conv1d over time"),
    nn.GRU: (_NONLINEAR, "use nn.Conv1d over time"),
    nn.LSTM: (_NONLINEAR, "use nn.Conv1d over time"),
}

SUPPORTED = (
    "Linear, Conv1d, Conv2d, their BatchNorm, ReLU, MaxPool, AvgPool and AdaptiveAvgPool (1d and 2d), Flatten, Dropout "
    "and sums"
)


def refuse_module(name: str, module: nn.Module) -> UnshareableModelError:
    kind = type(module)
    reason, remedy = _REMEDIES.get(kind, ("it is not implemented", f"build the network from {SUPPORTED}"))
    return UnshareableModelError(f"{name} ({kind.__name__})", reason, remedy)


def refuse_training_state(name: str, module: nn.Module) -> UnshareableModelError:
    return UnshareableModelError(
        f"{name} ({type(module).__name__})",
        "it normalises with the statistics of the batch it sees",
        "set track_running_stats=True",
    )


def refuse_function(node: fx.Node) -> UnshareableModelError:
    """A function, method or module that is used in a way that has no counterpart."""
    name, kind = node.name, getattr(node.target, "__name__", str(node.target))
    if node.op == "call_module" and node.graph.owning_module is not None:
        name, kind = kind, type(node.graph.owning_module.get_submodule(kind)).__name__
    return UnshareableModelError(
        f"{name} ({kind})", "this use of it is not implemented", f"build the network from {SUPPORTED}"
    )
