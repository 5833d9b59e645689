"""The table of networks, and the one way to build one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
from pydantic import Field, PositiveInt
from torch import nn

from smule_crypten.config.config_reading import suggest
from smule_crypten.config.options import call_target, one_line, parse_options
from smule_crypten.config.sections import ModelConfig, Section
from smule_crypten.errors import ConfigError, ModelError
from smule_crypten.models.networks import convnet, convnet1d, lenet, linear_stem_convnet, mlp, strided_convnet
from smule_crypten.models.resnet import resnet
from smule_crypten.models.state import plain_state
from smule_crypten.models.usable import buffer_hint, check_usable
from smule_crypten.torchvision_compat import load_torchvision
from smule_crypten.types import InputShape

_Widths = Annotated[tuple[PositiveInt, ...], Field(strict=False)]

_AUXILIARY_OUTPUTS = frozenset({"googlenet", "inception_v3"})
"""Networks of torchvision that return more than logits while they are trained."""


class _MlpOptions(Section):
    hidden: _Widths = (128, 64)
    """Widths of the hidden layers, a ReLU after each."""


class _SmallConvnetOptions(Section):
    channels: _Widths = (16, 32, 64)
    """Output channels of the convolutions; images of at least 8x8 for three."""


class _LinearStemConvnetOptions(Section):
    channels: Annotated[_Widths, Field(min_length=2)] = (16, 32, 64)
    """Output channels of the convolutions, of which the first two are one linear map; images of at least 8x8 for
    three."""


class _StridedConvnetOptions(Section):
    channels: Annotated[_Widths, Field(min_length=1)] = (32, 64, 128)
    """Output channels of the convolutions, the first of which has stride 4."""


class _WideConvnetOptions(Section):
    channels: _Widths = (32, 64, 128)
    """Output channels of the convolutions; images of at least 8x8 for three."""


class _Convnet1dOptions(Section):
    channels: _Widths = (16, 32, 64)
    """Output channels of the convolutions; series of at least 8 steps for three."""


class _ResnetOptions(Section):
    width: PositiveInt = 16
    """Channels of the first stage; the next two double them."""


class _TorchvisionOptions(Section):
    arch: str
    """Name in torchvision, for example resnet18, vgg11, alexnet (images of 64x64 or larger)."""


_VECTOR, _SERIES, _IMAGE = 1, 2, 3
"""How many axes a sample has."""
_NAME_OF_RANK = {
    _VECTOR: "vectors (features,)",
    _SERIES: "series (channels, time)",
    _IMAGE: "images (channels, height, width)",
}


class _Network(NamedTuple):
    """build is called as build(input_shape, num_classes, **options), options being those of the class `options`.

    ranks: how many axes samples may have.
    """

    options: type[Section]
    build: Callable[..., nn.Module]
    ranks: tuple[int, ...] = (_IMAGE,)


def _torchvision(input_shape: InputShape, num_classes: int, arch: str) -> nn.Module:
    """A classification network of torchvision with random weights; it decides itself what images it takes."""
    models = load_torchvision().models
    known = sorted(set(models.list_models(module=models)) - _AUXILIARY_OUTPUTS)
    if arch not in known:
        raise ConfigError(f"model.options.arch: unknown architecture {arch!r} {suggest(arch, known)}")
    network: nn.Module = models.get_model(arch, weights=None, num_classes=num_classes)
    return network


NETWORKS = {
    "mlp": _Network(_MlpOptions, mlp, (_VECTOR, _SERIES, _IMAGE)),
    "lenet": _Network(Section, lenet),
    "small_convnet": _Network(_SmallConvnetOptions, convnet),
    "linear_stem_convnet": _Network(_LinearStemConvnetOptions, linear_stem_convnet),
    "strided_convnet": _Network(_StridedConvnetOptions, strided_convnet),
    "wide_convnet": _Network(_WideConvnetOptions, convnet),
    "convnet1d": _Network(_Convnet1dOptions, convnet1d, (_SERIES,)),
    "resnet8": _Network(_ResnetOptions, functools.partial(resnet, blocks_per_stage=1)),
    "resnet20": _Network(_ResnetOptions, functools.partial(resnet, blocks_per_stage=3)),
    "torchvision": _Network(_TorchvisionOptions, _torchvision),
}
"""Beside these there is "target", whose options belong to the user's callable, and AUTO."""

AUTO = "auto"
_AUTOMATIC = {_VECTOR: "mlp", _SERIES: "convnet1d", _IMAGE: "small_convnet"}
_AUTOMATIC_FOR_PHOTOGRAPHS, _PHOTOGRAPH = "strided_convnet", 32
"""For images of so many pixels in height and width, or more."""


def named_network(config: ModelConfig, input_shape: InputShape) -> ModelConfig:
    """`config` itself, or for the name "auto" the network that samples of this shape get.

    Raises:
        ConfigError: "auto" with options.
    """
    if config.name != AUTO:
        return config
    if config.options:
        raise ConfigError(f"model.options: the network {AUTO!r} takes none; name the network, see smule --help")
    is_photograph = len(input_shape) == _IMAGE and min(input_shape[1:]) >= _PHOTOGRAPH
    return ModelConfig(name=_AUTOMATIC_FOR_PHOTOGRAPHS if is_photograph else _AUTOMATIC[len(input_shape)])


def build_model(config: ModelConfig, input_shape: InputShape, num_classes: int, seed: int) -> nn.Module:
    """A network in training mode on the CPU, (N, *input_shape) float32 -> logits (N, num_classes).

    seed alone decides the initial weights; the caller's random state is neither used nor changed.

    Raises:
        ConfigError: unknown name or option, or a target that cannot be imported.
        ModelError: the network does not fit input_shape or num_classes.
    """
    config = named_network(config, input_shape)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed the generators of every accelerator too, which nobody would restore.
        torch.default_generator.manual_seed(seed)
        model = _build(config, input_shape, num_classes)
        _check_fit(model, config.name, input_shape, num_classes)
    return model


def _build(config: ModelConfig, input_shape: InputShape, num_classes: int) -> nn.Module:
    if config.name == "target":
        return _build_target(config, input_shape, num_classes)
    if config.name not in NETWORKS:
        known = suggest(config.name, [*NETWORKS, AUTO, "target"])
        raise ConfigError(f"model.name: unknown network {config.name!r} {known}")
    network = NETWORKS[config.name]
    if len(input_shape) not in network.ranks:
        taken = " or ".join(_NAME_OF_RANK[rank] for rank in network.ranks)
        raise ModelError(
            f"network {config.name!r} takes {taken}, and the samples are {_NAME_OF_RANK[len(input_shape)]} of "
            f"{_shown(input_shape)}; choose {_fitting(input_shape)} (party_a/model=... and party_b/model=...)"
        )
    options = parse_options(network.options, config.options, "model.options")
    return network.build(input_shape, num_classes, **options.model_dump())


def _build_target(config: ModelConfig, input_shape: InputShape, num_classes: int) -> nn.Module:
    model = call_target(config.options, "model.options", ModelError, input_shape=input_shape, num_classes=num_classes)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"model.options._target_: {config.options['_target_']} returned a {type(model).__name__}; "
            "return a torch.nn.Module"
        )
    return model


def _check_fit(model: nn.Module, name: str, input_shape: InputShape, num_classes: int) -> None:
    """Apply the network to two samples of zeros and look at the shape of the answer, once it can be used at all."""
    check_usable(model)
    plain_state(model.state_dict())
    expected = (2, num_classes)
    what = "images" if len(input_shape) == _IMAGE else "samples"
    shape = _shown(input_shape)
    model.eval()
    try:
        with torch.no_grad():
            logits_NC = model(torch.zeros(2, *input_shape))
    except Exception as error:  # any module can stand behind a name
        remedy = buffer_hint(model) or "choose another network or give it samples of another size"
        raise ModelError(
            f"network {name!r} cannot be applied to {what} of {shape}: {one_line(error)}; {remedy}"
        ) from error
    model.train()
    got = tuple(logits_NC.shape) if isinstance(logits_NC, torch.Tensor) else type(logits_NC).__name__
    if got != expected:
        raise ModelError(
            f"network {name!r} answers 2 {what} of {shape} with {got}, expected logits of shape {expected}; "
            "its last layer must have one output a class"
        )


def _shown(input_shape: InputShape) -> str:
    return "x".join(str(length) for length in input_shape)


def _fitting(input_shape: InputShape) -> str:
    names = [name for name, network in NETWORKS.items() if len(input_shape) in network.ranks]
    return ", ".join([*names, AUTO]) + " or target"


def num_parameters(model: nn.Module) -> int:
    """Number of single trainable and frozen values."""
    return sum(parameter.numel() for parameter in model.parameters())
