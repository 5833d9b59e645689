from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lean_harness import direction, lean_config
from lean_networks import NETWORKS, SHAPE, UNEQUAL_WINDOWS, Residual
from torch import nn

from smule_crypten.errors import ConfigError, ModelError, UnshareableModelError
from smule_crypten.fixed_point.lowering import lower
from smule_crypten.fixed_point.program import Program
from smule_crypten.fixed_point.scales import Scales, fit, plain_values
from smule_crypten.models.translate import TranslatedNetwork, translate
from smule_crypten.types import centred

ALL = NETWORKS | UNEQUAL_WINDOWS


def fitted(
    model: nn.Module, x: torch.Tensor, *, margin_bits: int = 2, **options: int
) -> tuple[TranslatedNetwork, Program, Scales]:
    network = translate(model, tuple(x.shape[1:]))  # type: ignore[arg-type]
    program = lower(network.architecture, lean_config(**options))
    values = plain_values(program, network.parameters, x)
    return network, program, fit(program, network.parameters, values, margin_bits, "differences")


def build(name: str, seed: int = 3) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(seed)
    return ALL[name](), torch.randn(6, *SHAPE)


@pytest.mark.parametrize("margin_bits", [2, 5])
@pytest.mark.parametrize("name", sorted(ALL))
def test_every_opened_value_has_its_margin(name: str, margin_bits: int) -> None:
    """On the owner's data every value that is opened stays below its range by the margin, differences of a maximum
    included, and the terms of a sum stand at one scale; so does what only changes its shape.
    """
    model, x = build(name)
    x = x / 4  # a sum with the input keeps the input's scale, and must have the margin too
    network, program, scales = fitted(model, x, margin_bits=margin_bits)
    values = plain_values(program, network.parameters, x)
    assert len(scales.scales) == len(program.steps)
    for position, step in enumerate(program.steps):
        if step.openings:
            source = step.inputs[0]
            bits = program.steps[source].width - 1 + program.steps[source].fraction
            room = 1 if step.kind == "truncate" else 0
            integer = float(values[source].abs().max()) * 2.0 ** scales.scales[source]
            assert integer <= 2.0 ** (bits - room - margin_bits) * (1 + 1e-9)
        if step.kind == "add":
            shifted = [scales.scales[i] + shift for i, shift in zip(step.inputs, step.shifts, strict=True)]
            assert shifted == pytest.approx([scales.scales[position]] * 2, abs=1e-9)
        if step.kind in ("mask", "flatten", "max"):
            assert scales.scales[position] == scales.scales[step.inputs[0]]
        if step.kind in ("relu", "truncate"):
            fraction = program.steps[step.inputs[0]].fraction
            assert scales.scales[position] == pytest.approx(scales.scales[step.inputs[0]] - fraction)
    assert scales.scales[-1] == pytest.approx(scales.output, abs=1e-9)
    assert -128 <= scales.output <= 127


def test_pooling_needs_room_in_the_widest_ring() -> None:
    """Known limit: sums over a window of 2^n values that are not folded into a product leave 64 - n bits for a ring.
    It is refused by the name of the layer and with that remedy, and not computed wrongly.
    """
    model, x = build("global_pool")
    with pytest.raises(UnshareableModelError, match=r"layer _4.*70 bits.*lower scheme.options.ring_bits"):
        fitted(model, x, ring_bits=64)
    fitted(model, x, ring_bits=58)


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize(("ring_bits", "precision_bits", "bound"), [(32, 12, 0.02), (58, 12, 0.004)])
def test_against_plain_torch(name: str, ring_bits: int, precision_bits: int, bound: float) -> None:
    """Whole networks against PyTorch, on other inputs than they were fitted to: the largest error of a logit, as a
    fraction of the largest logit (or of 1, if that is larger).
    """
    model, known = build(name)
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(5))
    config = lean_config(ring_bits=ring_bits, precision_bits=precision_bits, micro_batch=2)
    run = direction(model, x, config, calibration_NX=known)
    logits_NC, _ = run.run()
    with torch.no_grad():
        expected = model.eval()(x)
    expected = expected - expected.mean(1, keepdim=True)
    assert logits_NC.dtype == torch.float32
    assert float((logits_NC - expected).abs().max()) <= bound * max(1.0, float(expected.abs().max()))


def test_logits_are_centred() -> None:
    """What is common to the classes of a sample is not opened, so every answer is zero on average."""
    model, x = build("conv_relu")
    with torch.no_grad():
        model[-1].bias += 3.0  # type: ignore[index, operator]
    logits_NC, _ = direction(model, x, lean_config()).run()
    assert float(logits_NC.sum(1).abs().max()) < 1e-5


@pytest.mark.parametrize("factor", [2.0**-6, 2.0**6, 2.0**20])
@pytest.mark.parametrize("name", ["conv_relu", "conv_pool_relu", "max_pool_signed", "residual"])
def test_scale_of_a_network_does_not_matter(name: str, factor: float) -> None:
    """A layer of values 64 times smaller or a million times larger is fitted by its scale, which the next one undoes:
    the error stays what it was in proportion to the logits.
    """
    model, x = build(name)
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    last = next(module for module in reversed(list(model.modules())) if isinstance(module, nn.Linear))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.bias.zero_()  # type: ignore[union-attr]
        first.weight *= factor
        last.weight /= factor
        expected = model.eval()(x)
    logits_NC, _ = direction(model, x, lean_config()).run()
    expected = expected - expected.mean(1, keepdim=True)
    assert float((logits_NC - expected).abs().max()) <= 0.02 * max(1.0, float(expected.abs().max()))


def changed(name: str, change: Callable[[list[Any]], None]) -> tuple[nn.Module, torch.Tensor]:
    model, x = build(name)
    with torch.no_grad():
        change([module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)])
    return model, x


def kill(layer: Any, bias: float) -> None:
    layer.weight.zero_()
    if layer.bias is not None:
        layer.bias.fill_(bias)


def kill_first(layers: list[Any]) -> None:
    kill(layers[0], -1.0)


def kill_second(layers: list[Any]) -> None:
    kill(layers[1], 0.0)


def kill_last(layers: list[Any]) -> None:
    kill(layers[-1], 0.5)


DEATHS = (kill_first, kill_second, kill_last)


DEAD = [(name, change) for name in ("conv_relu", "residual", "max_pool_signed", "mlp") for change in DEATHS]


@pytest.mark.parametrize("ring_bits", [32, 60])
@pytest.mark.parametrize(("name", "change"), DEAD)
def test_dead_layers(name: str, change: Callable[[list[Any]], None], ring_bits: int) -> None:
    """A layer that is zero on all data, a ReLU that never passes anything, and logits that are constant are no error:
    what they compute is still right.
    """
    model, x = changed(name, change)
    logits_NC, _ = direction(model, x, lean_config(ring_bits=ring_bits)).run()
    with torch.no_grad():
        expected = model.eval()(x)
    expected = expected - expected.mean(1, keepdim=True)
    assert float((logits_NC - expected).abs().max()) <= 0.02


class SameValueTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, 1, 1)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x + self.pool(x))


def test_two_scales_of_one_value_are_refused() -> None:
    """A value plus its average over nine: no power of two brings them to one scale. Refused by name."""
    with pytest.raises(UnshareableModelError, match=r"layer add.*two scales.*scheme=crypten"):
        fitted(SameValueTwice(), torch.randn(4, *SHAPE))


def test_branch_of_small_values() -> None:
    """A residual branch of values a thousand times smaller than what it is added to: its scale leaves its weights room,
    though larger factors would fit its values. One that no scale serves ends too, in whatever way.
    """
    for factor in (1e-3, 1e-5, 1e-9):
        model, x = build("residual")
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, Residual):
                    module.first.weight *= factor
                    module.first.bias *= factor  # type: ignore[operator]
                    module.second.weight *= factor if factor < 1e-3 else 1.0
            expected = model.eval()(x)
        try:
            logits_NC, _ = direction(model, x, lean_config()).run()
        except UnshareableModelError:
            assert factor < 1e-3
            continue
        expected = expected - expected.mean(1, keepdim=True)
        assert float((logits_NC - expected).abs().max()) <= 0.02


def test_vanishing_weights_are_refused() -> None:
    """A residual sum whose branch is a millionth of what it is added to: its weights would all be rounded away."""
    model, x = build("branches_on_input")
    right = next(module for name, module in model.named_modules() if name.endswith("right"))
    with torch.no_grad():
        right.weight *= 1e-6  # type: ignore[operator]
        right.bias.zero_()  # type: ignore[union-attr, operator]
    with pytest.raises(UnshareableModelError, match=r"layer .*right.*vanish.*ring_bits=64"):
        direction(model, x, lean_config())


def test_inputs_beyond_the_range_are_refused() -> None:
    """The scale of the input is public and cannot give way: what is opened at it and too large is refused."""
    model, x = build("max_pool_dilated")
    with pytest.raises(UnshareableModelError, match=r"layer .*scale of the input.*ring_bits=64"):
        fitted(model, x * 1000)
    fitted(model, x * 1000, ring_bits=64)


@pytest.mark.parametrize("broken", [math.inf, math.nan, 1e38])
def test_weights_that_are_no_numbers_are_refused(broken: float) -> None:
    """A network that has diverged is refused by name, as scheme=crypten refuses it, and not by a traceback."""
    model, x = changed("conv_relu", lambda layers: layers[1].weight.fill_(broken))
    with pytest.raises(ModelError, match=r"NaN or infinite|layer"):
        direction(model, x, lean_config())


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"ring_bits": 16, "precision_bits": 14}, "leaves 2 bits"),
        ({"ring_bits": 65}, "ring_bits"),
        ({"block_bits": 6}, "block"),
    ],
)
def test_unusable_options(options: dict[str, int], word: str) -> None:
    """Widths that leave nothing to compare, or that no word holds, are a ConfigError that names the key."""
    model, _ = build("conv_relu")
    with pytest.raises(ConfigError, match=word):
        lower(translate(model, SHAPE).architecture, lean_config(**options))


def test_bound_is_above_every_logit() -> None:
    """The public bound for a logit is a power of two, sixteen times what was seen or more."""
    model, x = build("conv_relu")
    _, _, scales = fitted(model, x)
    with torch.no_grad():
        logits_NC = model.eval()(x)
    spread = float((logits_NC - logits_NC.mean(1, keepdim=True)).abs().max())
    assert 16 * spread <= scales.bound < 32 * spread
    assert math.log2(scales.bound).is_integer()


@pytest.mark.parametrize("factor", [40.0, 100.0, -75.0])
def test_logits_beyond_the_bound_are_seen_as_such(factor: float) -> None:
    """A logit that outgrows the bound shows beyond it, instead of wrapping back inside: the last layer alone on inputs
    far larger than those of its owner.
    """
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    x = torch.randn(64, 1, 4, 4)
    far = direction(model, factor * x, lean_config(), calibration_NX=x)
    logits_NC, _ = far.run()
    with torch.no_grad():
        expected = centred(model(factor * x))
    assert torch.allclose(logits_NC, expected, rtol=0.01, atol=0.05)
    beyond = expected.abs().amax(1) > 1.01 * far.scales.bound
    assert bool(beyond.any())
    assert bool((logits_NC[beyond].abs().amax(1) > far.scales.bound).all())


def test_no_value_is_wider_than_a_word() -> None:
    """Sums over windows that outgrow 64 bits are refused by the name of the layer, before anything runs."""
    model = nn.Sequential(nn.ReLU(), nn.AvgPool2d(256), nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten())
    with pytest.raises(UnshareableModelError, match="bits"):
        lower(translate(model, (1, 256, 256)).architecture, lean_config(ring_bits=64, precision_bits=16))
    model = nn.Sequential(nn.AvgPool2d(256), nn.ReLU(), nn.Flatten())
    with pytest.raises(UnshareableModelError, match="bits"):
        lower(translate(model, (1, 256, 256)).architecture, lean_config(ring_bits=64, precision_bits=16))
