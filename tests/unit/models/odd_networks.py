"""Networks that do something which torch.fx does not see, or look as if they did. All take images of SHAPE."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils import prune

SHAPE = (2, 6, 6)
Forward = Callable[[Any, torch.Tensor], torch.Tensor]


class Parts(nn.Module):
    """Layers for a forward function that is given from outside."""

    calls: torch.Tensor

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.given = forward
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.other = nn.Conv2d(2, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(72, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.given(self, x)


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3))


def changed(change: Callable[[nn.Sequential], object]) -> nn.Module:
    model = plain()
    change(model)
    return model


class AlwaysTraining(nn.Sequential):
    def train(self, mode: bool = True) -> AlwaysTraining:
        return super().train(True)


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = plain()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result: torch.Tensor = self.body(x)
        return result


class HookWithGain(nn.Module):
    """The hook multiplies by 1 as long as its parameter is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.gain = plain(), nn.Parameter(torch.ones(1))
        self.body[3].register_forward_hook(lambda module, inputs, result: result * self.gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.body(x)
        return result


class Tripling(torch.Tensor):
    """A weight with which a linear layer gives three times as much."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        return result * 3 if func is F.linear else result

    def __deepcopy__(self, memo: Any) -> Tripling:
        return self.detach().clone().as_subclass(Tripling)


def view_of_relu(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    v = y.flatten(1)
    m.relu(y)
    return m.fc(v)  # type: ignore[no-any-return]


def view_of_sum(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    v = y.view(-1, 72)
    y += x
    return m.fc(v)  # type: ignore[no-any-return]


def view_of_torch_relu(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    v = torch.flatten(y, 1)
    torch.relu_(y)
    return m.fc(v)  # type: ignore[no-any-return]


def counts_calls(m: Parts, x: torch.Tensor) -> torch.Tensor:
    m.calls += 1
    return m.fc(m.conv(x).flatten(1))  # type: ignore[no-any-return]


def scaled_by_calls(x: torch.Tensor) -> None:
    x.mul_(2)


fx.wrap("scaled_by_calls")


def zero_last_layer(model: nn.Sequential) -> None:
    model[0].register_forward_hook(lambda module, inputs, result: result * 3)
    for parameter in model[3].parameters():
        nn.init.zeros_(parameter)


def tripled_weight(model: nn.Sequential) -> None:
    model[3].weight = nn.Parameter(model[3].get_parameter("weight").detach().as_subclass(Tripling))


def replaced_forward(model: nn.Sequential) -> None:
    original: Callable[[torch.Tensor], torch.Tensor] = model.forward
    model.forward = lambda x: original(x) * 3  # type: ignore[method-assign]


def replaced_layer(model: nn.Sequential) -> None:
    layer = model[3]
    layer.forward = types.MethodType(lambda self, x: F.linear(x, self.weight) * 3, layer)


def drifting(model: nn.Sequential) -> None:
    def drift(module: nn.Module, inputs: object) -> None:
        with torch.no_grad():
            module.get_parameter("weight").mul_(1.01)

    model[3].register_forward_pre_hook(drift)


def after_layer(position: int, change: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    return changed(lambda model: model[position].register_forward_hook(lambda module, inputs, result: change(result)))


def with_dropout(change: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Dropout(), nn.Flatten(), nn.Linear(48, 3))
    model[1].register_forward_hook(lambda module, inputs, result: change(result))
    return model


def with_norm(change: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 3))
    model[1].register_forward_hook(lambda module, inputs, result: change(result))
    return model


def pruned(change: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    model = plain()
    prune.l1_unstructured(model[3], "weight", amount=0.5)  # type: ignore[no-untyped-call]
    model[3].register_forward_hook(lambda module, inputs, result: change(result))
    return model


class TripledCall(nn.Sequential):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return 3 * super().__call__(*args, **kwargs)


DIFFERENT: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "hook on a linear layer": (lambda: after_layer(3, lambda y: 3 * y), "3 (Linear)", "a hook"),
    "hook on a convolution": (lambda: after_layer(0, lambda y: 3 * y), "0 (Conv2d)", "a hook"),
    "hook that bounds": (lambda: after_layer(0, lambda y: y.clamp(max=6.0)), "0 (Conv2d)", "a hook"),
    "hook on a layer that vanishes": (lambda: with_dropout(lambda y: 3 * y), "1 (Dropout)", "a hook"),
    "hook on a folded normalization": (lambda: with_norm(lambda y: 3 * y), "1 (BatchNorm2d)", "a hook"),
    "hook on a pruned layer": (lambda: pruned(lambda y: 3 * y), "3 (Linear)", "a hook"),
    "a call of its own": (lambda: TripledCall(*plain()), "the network TripledCall", "does not see"),
    "hook in float32": (lambda: after_layer(0, lambda y: y.float() * 3), "0 (Conv2d)", "a hook"),
    "hook before a layer": (
        lambda: changed(lambda m: m[3].register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],))),
        "3 (Linear)",
        "a hook",
    ),
    "hook on the network": (
        lambda: changed(lambda m: m.register_forward_hook(lambda module, inputs, result: 3 * result)),
        "the network Sequential",
        "a hook on the network itself",
    ),
    "normalization before the network": (
        lambda: changed(lambda m: m.register_forward_pre_hook(lambda module, inputs: ((inputs[0] - 0.5) / 0.25,))),
        "the network Sequential",
        "a hook on the network itself",
    ),
    "hook behind a last layer of zeros": (lambda: changed(zero_last_layer), "0 (Conv2d)", "a hook"),
    "hook with a parameter": (HookWithGain, "body.3 (Linear)", "a hook"),
    "view of what a ReLU overwrites": (lambda: Parts(view_of_relu), "fc (Linear)", "changed in place"),
    "view of what torch.relu_ overwrites": (lambda: Parts(view_of_torch_relu), "fc (Linear)", "changed in place"),
    "view of what a sum overwrites": (lambda: Parts(view_of_sum), "fc (Linear)", "changed in place"),
    "dropout in evaluation": (
        lambda: AlwaysTraining(nn.Flatten(), nn.Dropout(), nn.Linear(72, 3)),
        "the network AlwaysTraining",
        "different answers to the same batch",
    ),
    "batch statistics in evaluation": (
        lambda: AlwaysTraining(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3)),
        "1 (BatchNorm2d)",
        "stays in training mode",
    ),
    "weights that drift": (lambda: changed(drifting), "the network Sequential", "different answers"),
    "forward put on the network": (lambda: changed(replaced_forward), "the network Sequential", "put on the instance"),
    "forward put on a layer": (lambda: changed(replaced_layer), "3 (Linear)", "put on the instance"),
    "autocast": (Autocast, "the network Autocast", "torch.bfloat16, as under autocast"),
    "weight that computes otherwise": (lambda: changed(tripled_weight), "3 (Linear)", "does not see"),
    "batches of two only": (
        lambda: Parts(lambda m, x: m.fc(m.conv(x).view(2, -1))),
        "the network Parts",
        "fails on a batch of 1",
    ),
}
"""Network, what is named, and part of the cause."""


def tied() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 72), nn.ReLU(), nn.Linear(72, 72))
    model[3].weight = model[1].weight
    return model


def ill_conditioned() -> nn.Module:
    """In float32 the network itself is off by 6 % of its logits, since BatchNorm takes back a bias of a million."""
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))
    nn.init.constant_(model[0].get_parameter("bias"), 1e6)
    model[1].get_buffer("running_mean").fill_(1e6)
    return model


def with_old_norm(norm: Callable[[nn.Module], nn.Module], *, trained: bool) -> nn.Module:
    model = plain()
    norm(model[3])
    model(torch.randn(2, *SHAPE))
    if trained:
        with torch.no_grad():
            next(model[3].parameters()).mul_(2)
            for name, parameter in model[3].named_parameters():
                if name.endswith("_g"):
                    parameter.mul_(2)
    return model


def aliased_sum(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    z = y
    y += x
    return m.fc((m.other(z) + y).flatten(1))  # type: ignore[no-any-return]


def relu_overwrites(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    torch.relu_(y)
    return m.fc(y.flatten(1))  # type: ignore[no-any-return]


def with_unused_head(m: Parts, x: torch.Tensor) -> torch.Tensor:
    y = m.conv(x)
    _ = m.other(y).sigmoid().mean()
    return m.fc(y.flatten(1))  # type: ignore[no-any-return]


SAME: dict[str, Callable[[], nn.Module]] = {
    "hooks that only look": lambda: after_layer(0, lambda y: y),
    "hook that insists on float32": lambda: after_layer(0, torch.Tensor.float),
    "old weight_norm after a forward pass": lambda: with_old_norm(nn.utils.weight_norm, trained=False),
    "old weight_norm, trained since": lambda: with_old_norm(nn.utils.weight_norm, trained=True),
    "old spectral_norm": lambda: with_old_norm(nn.utils.spectral_norm, trained=True),
    "new weight_norm": lambda: changed(lambda m: nn.utils.parametrizations.weight_norm(m[0])),
    "new spectral_norm": lambda: changed(lambda m: nn.utils.parametrizations.spectral_norm(m[3])),
    "pruned": lambda: pruned(lambda y: y),
    "tied weights": tied,
    "one layer twice": lambda: Parts(lambda m, x: m.fc(m.conv(m.conv(x)).flatten(1))),
    "sum into a value with two names": lambda: Parts(aliased_sum),
    "torch.relu_": lambda: Parts(relu_overwrites),
    "counting its calls": lambda: Parts(counts_calls),
    "a head that nobody reads": lambda: Parts(with_unused_head),
    "rounding in float32": ill_conditioned,
}
"""What must not be refused."""
