from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.errors import ConfigError, DataError, ModelError, SmuleError
from smule_crypten.features.public_map import build_map
from smule_crypten.torchvision_compat import load_torchvision

ARCH, CLASSES = "shufflenet_v2_x0_5", 7
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: torch.nn.Module = load_torchvision().models.get_model(ARCH, weights=None, num_classes=CLASSES)
    return made.eval()


@pytest.fixture(scope="module")
def weights(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "network.pt"
    torch.save(network.state_dict(), path)
    return path


def config(weights: Path, **options: Any) -> FeaturesConfig:
    return FeaturesConfig(name="torchvision", cache=None, options={"arch": ARCH, "path": str(weights), **options})


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_what_the_classifier_saw(network: torch.nn.Module, weights: Path, channels: int) -> None:
    """The classifier of the whole network, applied to them, gives its logits; grey images are three equal channels."""
    public_map = build_map(config(weights, size=64), (channels, 32, 32))
    images = torch.rand(3, channels, 32, 32, generator=torch.Generator().manual_seed(1))
    scaled = F.interpolate(images, (64, 64), mode="bilinear", antialias=True).expand(-1, 3, -1, -1)
    normal = (scaled - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        logits, found = network(normal), public_map.network(images)
        torch.testing.assert_close(F.linear(found, network.fc.weight, network.fc.bias), logits)  # type: ignore[arg-type, union-attr]
    assert public_map.num_features == found.shape[1] == 1024


def test_what_decides_the_features_is_in_the_digest(weights: Path, tmp_path: Path) -> None:
    """Not the place of the file, nor how it was packed."""
    other = tmp_path / "other.pt"
    torch.save(torch.load(weights, weights_only=True), other, _use_new_zipfile_serialization=False)
    shape = (3, 64, 64)
    assert build_map(config(weights), shape).digest == build_map(config(other), shape).digest
    of_options = {
        build_map(config(weights, **options), shape).digest for options in ({}, {"size": 32}, {"mean": [0, 0, 0]})
    }
    assert len(of_options) == 3


def test_the_file_that_both_agreed_on_is_accepted(weights: Path) -> None:
    build_map(config(weights, sha256=hashlib.sha256(weights.read_bytes()).hexdigest()), (3, 64, 64))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"path": "/none/at/all.pt"}, DataError, "features.options.path: cannot read /none/at/all.pt (No such file"),
        ({"sha256": "00" * 32}, ConfigError, "is another file, "),
        ({"sha256": "abc"}, ConfigError, "features.options.sha256: 'abc' is none; copy the 64 digits"),
        ({"arch": "shufflenet_v2_x1_0"}, ModelError, "do not fit features.options.arch=shufflenet_v2_x1_0: "),
        ({"arch": "shuflenet"}, ConfigError, "features.options.arch: unknown architecture 'shuflenet'"),
        ({"arch": "squeezenet1_0"}, ModelError, "features.options.arch=squeezenet1_0 has no linear layer as its"),
        ({"weight": 3}, ConfigError, "features.options.weight: unknown option"),
        ({"size": 0}, ConfigError, "features.options.size"),
    ],
)
def test_what_does_not_fit_is_refused(
    weights: Path, change: dict[str, Any], error: type[SmuleError], message: str
) -> None:
    """One line each, nothing downloaded."""
    with pytest.raises(error, match=re.escape(message)) as caught:
        build_map(config(weights, **change), (3, 32, 32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", "a list"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save([1, 2], path)
    with pytest.raises(ModelError, match=r"weights\.pt is no state dict of torch\.save"):
        build_map(config(path), (3, 32, 32))


def test_an_image_that_is_too_small_is_refused(tmp_path: Path) -> None:
    """A network that cannot take images of this size says so, and that they can be scaled."""
    alexnet = load_torchvision().models.get_model("mobilenet_v3_small", weights=None).state_dict()
    torch.save(alexnet, tmp_path / "weights.pt")
    found = build_map(config(tmp_path / "weights.pt", arch="mobilenet_v3_small", size=32), (1, 8, 8))
    assert found.num_features == 1024
    with pytest.raises(ModelError, match=r"takes images of 1 or 3 channels, not samples of 2x8x8"):
        build_map(config(tmp_path / "weights.pt", arch="mobilenet_v3_small"), (2, 8, 8))
