"""A network of torchvision with a weights file that both parties have, up to the layer before its classifier."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, PositiveInt
from torch import nn

from smule_crypten.config.config_reading import suggest
from smule_crypten.config.sections import Section
from smule_crypten.errors import ConfigError, DataError, ModelError
from smule_crypten.features.frozen import OfImages, last_linear, require_images
from smule_crypten.models.state import misfit
from smule_crypten.torchvision_compat import load_torchvision
from smule_crypten.types import InputShape

_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TorchvisionMapOptions(Section):
    arch: str
    """Name in torchvision, for example resnet18."""
    path: str
    """The file of its weights, a state dict as torch.save writes it; never downloaded."""
    sha256: str | None = None
    """SHA-256 of the file, to refuse another one; null takes any."""
    size: PositiveInt | None = None
    """Height and width to which images are scaled; null leaves them."""
    mean: tuple[float, float, float] = Field(default=_IMAGENET_MEAN, strict=False)
    """Constants of the network's own normalization, one a channel, for images in 0..1."""
    std: tuple[float, float, float] = Field(default=_IMAGENET_STD, strict=False)
    """See mean."""


def torchvision_map(input_shape: InputShape, options: TorchvisionMapOptions) -> nn.Module:
    """Images in 0..1 -> (N, features).

    Raises:
        ConfigError: no such architecture, or the file is another one than sha256 says.
        DataError: the file cannot be read.
        ModelError: the samples are no images, or the weights do not fit the architecture.
    """
    require_images(input_shape, "features=torchvision")
    state = _read(Path(options.path), options.sha256)
    models = load_torchvision().models
    known = models.list_models(module=models)
    if options.arch not in known:
        raise ConfigError(
            f"features.options.arch: unknown architecture {options.arch!r} {suggest(options.arch, known)}"
        )
    network = models.get_model(options.arch, weights=None)
    classifier = last_linear(network, f"features.options.arch={options.arch}")
    network = _with_classes(network, classifier, state)
    try:
        network.load_state_dict(state)
    except Exception:  # whatever a module raises
        why = misfit(state, network.state_dict())
        raise ModelError(
            f"the weights in {options.path} do not fit features.options.arch={options.arch}: {why}"
        ) from None
    network.set_submodule(classifier, nn.Identity())
    return OfImages(network, options.size, options.mean, options.std)


def _with_classes(network: nn.Module, classifier: str, state: dict[str, Any]) -> nn.Module:
    """The network with as many classes as its weights have: the classifier is not used, but it is in the file."""
    layer, weight = network.get_submodule(classifier), state.get(f"{classifier}.weight")
    assert isinstance(layer, nn.Linear)
    if isinstance(weight, torch.Tensor) and weight.dim() == 2 and len(weight) != layer.out_features:
        network.set_submodule(classifier, nn.Linear(layer.in_features, len(weight), bias=layer.bias is not None))
    return network


def _read(path: Path, sha256: str | None) -> dict[str, Any]:
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise ConfigError(f"features.options.sha256: {sha256!r} is none; copy the 64 digits that sha256sum prints")
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise DataError(
            f"features.options.path: cannot read {path} ({error.strerror}); put the weights there, they are never "
            "downloaded"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, found):
        raise ConfigError(f"features.options.sha256: {path} is another file, {found}; use the one that both agreed on")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:  # a damaged file may break PyTorch's reader in any way
        state = None
    if not isinstance(state, dict):
        raise ModelError(
            f"features.options.path: {path} is no state dict of torch.save; save network.state_dict() alone"
        )
    return state
