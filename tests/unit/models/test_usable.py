"""A network that cannot be used is refused by its true cause, with the remedy, wherever it comes in."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from odd_networks import SHAPE, changed, plain
from torch import nn

from smule_crypten.config.sections import ModelConfig
from smule_crypten.errors import ModelError, UnshareableModelError
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model


class Extra(nn.Module):
    """Its state holds something that a file cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.body = plain()

    def get_extra_state(self) -> object:
        return {"lock": threading.Lock()}

    def set_extra_state(self, state: object) -> None:
        pass

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.body(x)
        return result


def infinite_variance(model: nn.Sequential) -> None:
    model.insert(1, nn.BatchNorm2d(3))
    model[1].running_var.fill_(float("inf"))  # type: ignore[union-attr, operator]


UNUSABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "torch.compile": (lambda: torch.compile(plain()), "wrapped by torch.compile; .+ attribute _orig_mod"),
    "DataParallel": (lambda: nn.DataParallel(plain()), "wrapped by nn.DataParallel; .+ attribute module"),
    "inner DataParallel": (
        lambda: nn.Sequential(nn.DataParallel(plain()), nn.Linear(3, 3)),
        "^the module 0 is wrapped by nn.DataParallel",
    ),
    "half": (lambda: plain().half(), r"0.weight is torch.float16, .+ call .float\(\)"),
    "bfloat16": (lambda: plain().bfloat16(), r"0.weight is torch.bfloat16, .+ call .float\(\)"),
    "double": (lambda: plain().double(), r"0.weight is torch.float64, .+ call .float\(\)"),
    "one layer double": (lambda: changed(lambda m: m[3].double()), r"3.weight is torch.float64, .+ call .float\(\)"),
    "lazy": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), "1.weight has no values before"),
    "lazy normalization": (
        lambda: nn.Sequential(nn.LazyBatchNorm2d(), nn.Flatten(), nn.Linear(72, 3)),
        "0.weight has no values before",
    ),
    "without storage": (lambda: plain().to("meta"), "0.weight lies on the device meta"),
}
"""Network and message; both by build_model and by translate."""


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("build", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_networks(build: Callable[[], nn.Module], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither branches nor image sizes are blamed for what is wrong with the network."""
    model = build()
    with pytest.raises(ModelError, match=message) as caught:
        translate(model, SHAPE)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(globals(), "given", lambda input_shape, num_classes: model)
    with pytest.raises(ModelError, match=message):
        build_model(ModelConfig(name="target", options={"_target_": f"{__name__}:given"}), SHAPE, 3, seed=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated:DeprecationWarning")
def test_scripted_networks() -> None:
    """What torch.jit compiled cannot be followed; the network that it was made from can."""
    scripted = torch.jit.trace(plain(), torch.zeros(1, *SHAPE), check_trace=False)  # type: ignore[no-untyped-call]
    with pytest.raises(ModelError, match=r"compiled by torch.jit; give the network that was compiled"):
        translate(scripted, SHAPE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: nn.init.constant_(m[3].weight, float("nan")), "3.weight holds 144 values that are NaN or infinite"),
        (lambda m: m[0].bias.data.__setitem__(1, float("inf")), "0.bias holds 1 values that are NaN or infinite"),
        (infinite_variance, "1.running_var holds 3 values that are NaN or infinite"),
    ],
)
def test_weights_that_are_no_numbers(change: Callable[[nn.Sequential], object], message: str) -> None:
    """They are named as such, not as values that are too large for a ring."""
    with pytest.raises(ModelError, match=message):
        translate(changed(change), SHAPE)


def test_variance_of_zero_without_eps() -> None:
    """Finite weights and statistics whose folding is infinite."""
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2, eps=0.0), nn.Flatten(), nn.Linear(32, 3))
    model[1].running_var.zero_()  # type: ignore[union-attr, operator]
    with pytest.raises(ModelError, match="its weights are not finite once BatchNorm is folded in; raise eps"):
        translate(model, SHAPE)


def test_buffers_of_another_type() -> None:
    """Where only a buffer is double, that is the cause that is named, and a buffer that is not used is none."""
    model = plain()
    model.register_buffer("note", torch.zeros(1, dtype=torch.float64))
    translate(model, SHAPE)
    weight, bias = model[3].weight.data, model[3].bias.data
    del model[3].weight, model[3].bias
    model[3].register_buffer("weight", weight.double())
    model[3].register_buffer("bias", bias.double())
    with pytest.raises(ModelError, match=r"its buffer \w*\.?\w+ is torch.float64, .+ call .float\(\)"):
        translate(model, SHAPE)


def test_networks_that_cannot_be_copied() -> None:
    """A lock among the attributes is one line, not a traceback of copy."""
    with pytest.raises(UnshareableModelError, match=r"it cannot be copied \(cannot pickle '_thread.lock' object\)"):
        translate(changed(lambda m: setattr(m, "lock", threading.Lock())), SHAPE)


def test_state_that_cannot_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found when the network is built, not when the run is over."""
    monkeypatch.setitem(globals(), "given", lambda input_shape, num_classes: Extra())
    with pytest.raises(ModelError, match="the state _extra_state holds a lock, which cannot be saved"):
        build_model(ModelConfig(name="target", options={"_target_": f"{__name__}:given"}), SHAPE, 3, seed=0)


def test_compiled_forward() -> None:
    """The remedy for torch.compile on a function is not to remove branches."""

    class Compiled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(72, 3)

        @torch.compile(backend="eager")  # type: ignore[untyped-decorator]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.fc(x.flatten(1))
            return result

    with pytest.raises(UnshareableModelError, match=r"; remove torch.compile from it$"):
        translate(Compiled(), SHAPE)
