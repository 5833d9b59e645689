from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from smule_crypten.config.sections import ModelConfig
from smule_crypten.errors import ConfigError, ModelError
from smule_crypten.models.zoo import build_model, named_network, num_parameters

OURS = (
    *("mlp", "lenet", "small_convnet", "linear_stem_convnet", "strided_convnet", "wide_convnet", "resnet8"),
    "resnet20",
)
SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32))
Shape = tuple[int, ...]


def build(name: str, shape: Shape = (3, 32, 32), num_classes: int = 10, seed: int = 0, **options: Any) -> nn.Module:
    return build_model(ModelConfig(name=name, options=options), shape, num_classes, seed)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", OURS)
def test_networks_fit_and_can_be_traced(name: str, shape: Shape) -> None:
    """Each network takes digits, MNIST and CIFAR sizes, and torch.fx reproduces it exactly."""
    model = build(name, shape, num_classes=7).eval()
    inputs_NX = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits_NC = model(inputs_NX)
        assert logits_NC.shape == (3, 7)
        assert torch.equal(torch.fx.symbolic_trace(model)(inputs_NX), logits_NC)


@pytest.mark.parametrize("name", OURS)
def test_no_softmax_and_pooling_before_relu(name: str) -> None:
    """What is dear on secret shares stays out: softmax, max pooling, a ReLU right before a pooling."""
    layers = [module for module in build(name).modules() if not list(module.children())]
    assert not any(isinstance(layer, (nn.Softmax, nn.LogSoftmax, nn.MaxPool2d)) for layer in layers)
    pairs = itertools.pairwise(layers)
    assert not any(isinstance(first, nn.ReLU) and isinstance(second, nn.AvgPool2d) for first, second in pairs)


def test_reference_network_is_the_documented_one() -> None:
    """Figures about the reference network are only comparable for exactly these layers."""
    model = build("small_convnet")
    names = [name for name, _ in model.named_children()]
    assert names == [f"{kind}{number}" for number in (1, 2, 3) for kind in ("conv", "pool", "relu")] + [
        "flatten",
        "classifier",
    ]
    assert num_parameters(model) == 33834
    relus: list[int] = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _module, _inputs, output: relus.append(output.numel()))
    model(torch.zeros(1, 3, 32, 32))
    assert sum(relus) == 7168


def test_the_linear_stem_is_the_reference_network_without_its_first_relu() -> None:
    """The same weights on the same number of pixels, also of odd images; 4,096 ReLUs fewer."""
    for shape in ((3, 32, 32), (1, 9, 15)):
        without, reference = (
            build("linear_stem_convnet", shape).state_dict(),
            build("small_convnet", shape).state_dict(),
        )
        assert {name: value.shape for name, value in without.items()} == {n: v.shape for n, v in reference.items()}
    names = [name for name, _ in build("linear_stem_convnet").named_children()]
    assert names == [name for name, _ in build("small_convnet").named_children() if name != "relu1"]


def test_strided_convnet() -> None:
    """Small images are pooled no further than to a pixel; ReLUs stand where little is left of the image."""
    assert [name for name, _ in build("strided_convnet", (1, 8, 8)).named_children() if "pool" in name] == ["pool2"]
    assert build("strided_convnet", channels=[4]).classifier.in_features == 4 * 8 * 8  # type: ignore[union-attr]
    relus: list[int] = []
    model = build("strided_convnet")
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda _module, _inputs, output: relus.append(output[0].numel()))
    model(torch.zeros(2, 3, 32, 32))
    assert relus == [32 * 8 * 8, 64 * 4 * 4, 128 * 2 * 2]


@pytest.mark.parametrize(("name", "weighted_layers"), [("resnet8", 8), ("resnet20", 20)])
def test_residual_networks_have_their_depth(name: str, weighted_layers: int) -> None:
    """Depth counts convolutions outside shortcuts and the classifier."""
    model = build(name)
    counted = [
        path
        for path, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear)) and "shortcut" not in path
    ]
    assert len(counted) == weighted_layers


@pytest.mark.parametrize("name", ["mlp", "resnet8"])
def test_seed_alone_decides_the_weights(name: str) -> None:
    """Equal seeds give equal weights whatever happened before; the caller's random state stays as it was."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = torch.cat([parameter.flatten() for parameter in build(name, seed=1).parameters()])
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again = torch.cat([parameter.flatten() for parameter in build(name, seed=1).parameters()])
    other = torch.cat([parameter.flatten() for parameter in build(name, seed=2).parameters()])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_model_is_ready_to_train_and_untouched_by_the_check() -> None:
    """The trial run must neither leave evaluation mode on nor enter BatchNorm's statistics."""
    model = build("resnet8")
    assert all(module.training for module in model.modules())
    assert int(model.bn1.num_batches_tracked) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((30,), "mlp"),
        ((12, 29), "convnet1d"),
        ((1, 8, 8), "small_convnet"),
        ((3, 31, 64), "small_convnet"),
        ((3, 32, 32), "strided_convnet"),
        ((1, 64, 48), "strided_convnet"),
    ],
    ids=str,
)
def test_automatic_network(shape: Shape, name: str) -> None:
    """Who names no network gets the one for samples of that shape, with the weights that it has by name."""
    found, expected = build("auto", shape).state_dict(), build(name, shape).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)
    named = named_network(ModelConfig(name="auto"), shape)
    assert named == ModelConfig(name=name)
    assert named_network(ModelConfig(name="lenet"), shape) == ModelConfig(name="lenet")


@pytest.mark.parametrize("shape", [(1, 24), (1, 150), (12, 29)], ids=str)
def test_convnet1d(shape: Shape) -> None:
    """Short and long series of one and several channels, traced exactly; average pooling stands before each ReLU."""
    model = build("convnet1d", shape, num_classes=3).eval()
    inputs_NX = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert model(inputs_NX).shape == (3, 3)
        assert torch.equal(torch.fx.symbolic_trace(model)(inputs_NX), model(inputs_NX))
    kinds = [type(layer).__name__ for layer in model.children()]
    assert kinds == ["Conv1d", "BatchNorm1d", "AvgPool1d", "ReLU"] * 3 + ["AdaptiveAvgPool1d", "Flatten", "Linear"]
    assert num_parameters(build("convnet1d", shape, channels=[4])) < num_parameters(model)


def test_mlp_on_vectors_and_series() -> None:
    """Features are counted over all axes; a vector needs no Flatten."""
    vector, series = build("mlp", (7,), hidden=[5]), build("mlp", (2, 6), hidden=[5])
    assert [type(layer).__name__ for layer in vector.children()] == ["Linear", "ReLU", "Linear"]
    assert series.linear1.in_features == 12  # type: ignore[union-attr]


def test_options_change_the_network() -> None:
    """Widths arrive in the layers."""
    assert [layer.out_features for layer in build("mlp", hidden=[5, 6]) if isinstance(layer, nn.Linear)] == [5, 6, 10]  # type: ignore[attr-defined]
    assert build("small_convnet", channels=[4]).conv1.out_channels == 4  # type: ignore[union-attr]
    assert build("resnet8", width=4).classifier.in_features == 16  # type: ignore[union-attr]
    assert num_parameters(build("mlp", (1, 2, 2), num_classes=3, hidden=[])) == 4 * 3 + 3


def test_torchvision_network_by_name() -> None:
    """torchvision's own ResNet-18 gets the right number of outputs."""
    assert build("torchvision", num_classes=7, arch="resnet18").fc.out_features == 7  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("small_convnt", {}, "unknown network 'small_convnt' .*did you mean small_convnet"),
        ("lenet", {"channels": [3]}, r"model\.options\.channels: unknown option"),
        ("mlp", {"hiden": [3]}, "did you mean hidden"),
        ("mlp", {"hidden": [0]}, r"model\.options\.hidden\.0: .*greater than 0"),
        ("resnet8", {"width": "wide"}, r"model\.options\.width: .*got 'wide'"),
        ("torchvision", {}, r"model\.options\.arch: must be given"),
        ("torchvision", {"arch": "resnet17"}, "unknown architecture 'resnet17' .*did you mean resnet1"),
        ("torchvision", {"arch": "fcn_resnet50"}, "unknown architecture"),
        ("torchvision", {"arch": "googlenet"}, "unknown architecture"),
        ("linear_stem_convnet", {"channels": [3]}, r"model\.options\.channels: .*at least 2"),
        ("strided_convnet", {"channels": []}, r"model\.options\.channels: .*at least 1"),
        ("auto", {"hidden": [3]}, r"model\.options: the network 'auto' takes none"),
        ("target", {}, r"model\.options\._target_: expected an importable callable"),
        ("target", {"_target_": "torch.nn.NoSuchLayer"}, "cannot import torch.nn.NoSuchLayer"),
    ],
)
def test_wrong_settings_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    """Each wrong name or option gives one line with what is known."""
    with pytest.raises(ConfigError, match=message):
        build(name, **options)


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("small_convnet", (1, 4, 8), {}, "images of 4x8 are too small for 3 poolings by 2, 8x8 is the least; shorten"),
        ("lenet", (1, 3, 3), {}, "too small for 2 poolings by 2, 4x4 is the least; .*mlp"),
        ("strided_convnet", (1, 3, 9), {}, "images of 3x9 are too small for 2 poolings by 2, 4x4 is the least"),
        ("linear_stem_convnet", (1, 4, 8), {}, "images of 4x8 are too small for 3 poolings by 2, 8x8 is the least"),
        ("convnet1d", (1, 7), {}, "series of 7 steps are too short for 3 poolings by 2, 8 is the least; .*mlp"),
        ("lenet", (30,), {}, r"takes images .*, and the samples are vectors .* of 30; choose mlp, auto or target"),
        ("resnet8", (2, 24), {}, r"the samples are series .* of 2x24; choose mlp, convnet1d, auto or target"),
        ("convnet1d", (1, 8, 8), {}, r"takes series .*, and the samples are images .* of 1x8x8; choose mlp, lenet"),
        ("torchvision", (1, 8, 8), {"arch": "resnet18"}, "cannot be applied to images of 1x8x8: .*3 channels"),
    ],
)
def test_images_that_do_not_fit_are_refused(name: str, shape: Shape, options: dict[str, Any], message: str) -> None:
    """A network that cannot take the images says so before training, with a remedy."""
    with pytest.raises(ModelError, match=message) as raised:
        build(name, shape, **options)
    assert "\n" not in str(raised.value)


USER_MODULE = """
import torch
from torch import nn


def linear(input_shape, num_classes, outputs=None):
    channels, height, width = input_shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, outputs or num_classes))


def function(input_shape, num_classes):
    return torch.relu


def fail(input_shape, num_classes):
    raise RuntimeError("no such thing")


class Pair(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()

    def forward(self, x):
        return x, x
"""


class TestTarget:
    @pytest.fixture(autouse=True)
    def user_module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "user_model_module.py").write_text(USER_MODULE)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "user_model_module", raising=False)

    def test_own_network(self) -> None:
        """A callable gets the shape and the number of classes."""
        model = build("target", (1, 4, 4), num_classes=3, _target_="user_model_module.linear")
        assert num_parameters(model) == 16 * 3 + 3

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("linear", {"outputs": 5}, r"answers 2 images of 1x4x4 with \(2, 5\), expected logits of shape \(2, 3\)"),
            ("linear", {"inputs": 5}, "unexpected keyword argument 'inputs'"),
            ("Pair", {}, r"with tuple, expected logits of shape \(2, 3\)"),
            ("function", {}, r"returned a builtin_function_or_method; return a torch\.nn\.Module"),
            ("fail", {}, "failed with RuntimeError: no such thing"),
        ],
    )
    def test_unusable_networks_are_refused(self, name: str, options: dict[str, Any], message: str) -> None:
        """Own networks are held to the same contract, with one line for each breach."""
        with pytest.raises(ModelError, match=message):
            build("target", (1, 4, 4), num_classes=3, _target_=f"user_model_module.{name}", **options)
