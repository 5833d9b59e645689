"""A public map: a frozen network, its digest, and the one way to build it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.options import call_target, one_line, parse_options
from smule_crypten.config.sections import Section
from smule_crypten.errors import ModelError
from smule_crypten.features.cache import content_digest
from smule_crypten.features.patches import Patches
from smule_crypten.features.photographs import is_of_images
from smule_crypten.features.torchvision_map import TorchvisionMapOptions, torchvision_map
from smule_crypten.models.state import plain_state
from smule_crypten.models.usable import check_finite, check_usable
from smule_crypten.types import InputShape

RECIPE = 1
"""Part of every digest: which crops of the photographs the constants of the standardisation follow from, and how."""


@dataclass(frozen=True, eq=False)
class PublicMap:
    """Inputs (N, *input_shape) float32, images in 0..1 -> (N, num_features), before they are standardised.

    digest: SHA-256 of all that decides the features, the constants of the standardisation included, since they follow
    from the network and the photographs.
    """

    name: str
    network: nn.Module
    input_shape: InputShape
    num_features: int
    digest: str

    @property
    def is_of_images(self) -> bool:
        """Whether photographs fit, so that features are standardised by what it makes of them."""
        return is_of_images(self.input_shape)


@dataclass(frozen=True)
class _Raw:
    """identity: what beside the weights decides what a network computes."""

    network: nn.Module
    identity: Mapping[str, Any]


def build_map(config: FeaturesConfig, input_shape: InputShape) -> PublicMap:
    """The map of config for inputs of this shape, in evaluation mode on the CPU.

    Raises:
        ConfigError: unknown options, a target that cannot be imported, a missing extra, another weights file.
        DataError: a weights file cannot be read.
        ModelError: weights, or samples of this shape, do not fit the map.
    """
    raw = _BUILDERS[config.name](config, input_shape)
    network = raw.network.requires_grad_(False).eval()
    check_usable(network)
    check_finite(network)
    num_features = _trial(network, config, input_shape)
    identity = {"recipe": RECIPE, "name": config.name, **raw.identity, "weights": _digest_of_weights(network)}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return PublicMap(config.name, network, tuple(input_shape), num_features, digest)


def _patches(config: FeaturesConfig, input_shape: InputShape) -> _Raw:
    parse_options(Section, config.options, "features.options")
    return _Raw(Patches(input_shape), {})


def _torchvision(config: FeaturesConfig, input_shape: InputShape) -> _Raw:
    options = parse_options(TorchvisionMapOptions, config.options, "features.options")
    return _Raw(torchvision_map(input_shape, options), options.model_dump(mode="json", exclude={"path", "sha256"}))


def _module(config: FeaturesConfig, input_shape: InputShape) -> _Raw:
    """Options that name a file count by what is in it: it may lie elsewhere at the other party."""
    target = config.options.get("_target_")
    network = call_target(config.options, "features.options", ModelError, input_shape=input_shape)
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"features.options._target_: {target} returned a {type(network).__name__}; return a torch.nn.Module"
        )
    modules = [[name, type(module).__qualname__] for name, module in network.named_modules()]
    options = {key: _content(value) for key, value in config.options.items()}
    return _Raw(network, {"options": options, "modules": modules})


_BUILDERS: dict[str, Callable[[FeaturesConfig, InputShape], _Raw]] = {
    "patches": _patches,
    "torchvision": _torchvision,
    "module": _module,
}


def _content(value: Any) -> str:
    try:
        if isinstance(value, str) and Path(value).expanduser().is_file():
            return hashlib.sha256(Path(value).expanduser().read_bytes()).hexdigest()
    except (OSError, ValueError, RuntimeError):  # no path at all, or none that may be read: then it is a text
        pass
    return repr(value)


def _digest_of_weights(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(plain_state(network.state_dict()).items()):
        text = content_digest(value) if isinstance(value, torch.Tensor) else repr(value)
        digest.update(f"{name}: {text}\n".encode())
    return digest.hexdigest()


def _trial(network: nn.Module, config: FeaturesConfig, input_shape: InputShape) -> int:
    """The number of features, found by two black images."""
    shape = "x".join(str(length) for length in input_shape)
    what = f"features={config.name}"
    if config.name == "module":
        what += f" ({config.options['_target_']})"
    try:
        with torch.no_grad():
            features_NF = network(torch.zeros(2, *input_shape))
    except Exception as error:  # any module can stand behind a name
        raise ModelError(
            f"{what} cannot be applied to samples of {shape}: {one_line(error)}; let it scale them "
            "(features.options.size, where it has that), resize them, or choose another map"
        ) from error
    got = tuple(features_NF.shape) if isinstance(features_NF, torch.Tensor) else type(features_NF).__name__
    if not isinstance(got, tuple) or len(got) != 2 or got[0] != 2 or got[1] < 1:
        raise ModelError(f"{what} makes {got} of 2 samples of {shape}; a map gives (samples, features)")
    return got[1]
