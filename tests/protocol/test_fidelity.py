"""Secure logits against plain torch: every network of the zoo on real images, and random small networks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from steps import CRYPTEN, LEAN, one_way, one_way_in_the_zoo, wire_counts
from torch import nn

from smule_crypten.config.sections import DataConfig, ModelConfig, TrainingConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.samples import Samples
from smule_crypten.models.zoo import NETWORKS, build_model
from smule_crypten.testing import PartyPool
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.training.trainer import Trainer
from smule_crypten.types import centred

CPU = torch.device("cpu")
BOUNDS = {
    "mlp": 1e-3,
    "lenet": 1e-3,
    "small_convnet": 1e-3,
    "linear_stem_convnet": 1e-3,
    "strided_convnet": 1e-3,
    "wide_convnet": 1e-3,
    "convnet1d": 1e-3,
    "resnet8": 5e-3,
    "resnet20": 2e-2,
}
"""Largest accepted logit error. Measured maxima are at most half of it; see docs/limitations.md."""


@pytest.fixture(scope="module")
def digits() -> Samples:
    bundle = load_data(DataConfig(name="digits"))
    return bundle.train.normalized((0.305,), (0.376,))


SHAPES: list[tuple[str, tuple[int, ...]]] = [
    *((name, (1, 8, 8)) for name in NETWORKS if name not in ("torchvision", "convnet1d")),
    ("mlp", (64,)),
    ("mlp", (8, 8)),
    ("convnet1d", (8, 8)),
]
"""Digits as images, as vectors, and as series of eight rows."""
SCHEMES = {"crypten": (CRYPTEN, 1.0), "lean": (LEAN, 4.0)}
"""How many times these bounds each one keeps: lean truncates to 14 bits."""


@pytest.mark.parametrize(("name", "shape"), SHAPES, ids=str)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_zoo_networks_on_digits(
    pool: PartyPool, digits: Samples, scheme: str, name: str, shape: tuple[int, ...]
) -> None:
    """Protects: the secure logits of each trained network agree with plain torch, at the exact predicted cost."""
    model = build_model(ModelConfig(name=name), shape, 10, seed=0)
    config = TrainingConfig(epochs=1, batch_size=64)
    train = digits.select(torch.arange(640))
    train = Samples(train.inputs.reshape(-1, *shape), train.targets, train.sample_ids)
    Trainer(model=model, train=train, config=config, seed=0, device=CPU).run_epoch()
    inputs = train.inputs[:8]
    of_scheme, times = SCHEMES[scheme]
    outcomes = pool.run(one_way, model, inputs, of_scheme, dealt=True)
    expected = centred(predict_logits(model, inputs, 8, CPU))
    error = float((outcomes[0][0].logits_NC - expected).abs().max())
    assert error < times * BOUNDS[name], f"{name}: {error:.2e}"
    for prediction, predicted in outcomes:
        assert wire_counts(prediction.cost) == wire_counts(predicted)


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "size"), [("resnet18", 32), ("vgg11", 32), ("alexnet", 64)])
def test_torchvision_networks(pool: PartyPool, digits: Samples, arch: str, size: int) -> None:
    """Protects: torchvision's shapes run securely, max pooling and adaptive pooling included."""
    config = ModelConfig(name="torchvision", options={"arch": arch})
    model = build_model(config, (3, size, size), 10, seed=0).eval()
    inputs = nn.functional.interpolate(digits.inputs[:2].expand(-1, 3, -1, -1), size)
    roomy = CRYPTEN.model_copy(update={"max_elements": 1 << 28})
    outcomes = pool.run(one_way_in_the_zoo, config, inputs, roomy, dealt=True)
    expected = centred(predict_logits(model, inputs, 2, CPU))
    error = float((outcomes[0][0].logits_NC - expected).abs().max())
    assert error < 2e-2, f"{arch}: {error:.2e}"


@st.composite
def small_networks(draw: st.DrawFn) -> tuple[nn.Module, torch.Tensor]:
    groups = draw(st.integers(1, 2))
    channels = groups * draw(st.integers(1, 2))
    height, width = draw(st.integers(7, 10)), draw(st.integers(7, 10))
    stride, padding, dilation = (draw(st.tuples(st.integers(low, 2), st.integers(low, 2))) for low in (1, 0, 1))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pooling = draw(
        st.sampled_from(
            [
                nn.MaxPool2d(2, ceil_mode=True),
                nn.MaxPool2d(3, stride=1, padding=1),
                nn.AvgPool2d(2, padding=1, count_include_pad=False),
                nn.AvgPool2d(3, stride=2, padding=1),
                nn.AdaptiveAvgPool2d((3, 2)),
                nn.AdaptiveAvgPool2d(1),
                nn.Identity(),
            ]
        )
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw(st.integers(0, 10**6)))
        bias = draw(st.booleans())
        convolution = nn.Conv2d(channels, 2 * groups, kernel, stride, padding, dilation, groups, bias)
        model = nn.Sequential(convolution, nn.ReLU(), pooling, nn.Flatten(), nn.LazyLinear(3))
        inputs = torch.randn(draw(st.integers(1, 3)), channels, height, width)
        model(inputs)
    return model, inputs


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=small_networks())
def test_random_shapes(pool: PartyPool, case: tuple[nn.Module, torch.Tensor]) -> None:
    """Protects: stride, padding, dilation, groups and every kind of pooling on shares, at the exact predicted cost."""
    _assert_secure_and_exact(pool, *case)


@st.composite
def small_networks_over_time(draw: st.DrawFn) -> tuple[nn.Module, torch.Tensor]:
    groups = draw(st.integers(1, 2))
    channels, steps = groups * draw(st.integers(1, 2)), draw(st.integers(9, 14))
    kernel, stride, padding, dilation = (draw(st.integers(*range_)) for range_ in ((1, 3), (1, 2), (0, 2), (1, 2)))
    pooling = draw(
        st.sampled_from(
            [
                nn.MaxPool1d(2, ceil_mode=True),
                nn.MaxPool1d(3, stride=1, padding=1),
                nn.AvgPool1d(2, padding=1, count_include_pad=False),
                nn.AvgPool1d(2),
                nn.AdaptiveAvgPool1d(3),
                nn.Identity(),
            ]
        )
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw(st.integers(0, 10**6)))
        convolution = nn.Conv1d(
            channels, 2 * groups, kernel, stride, padding, dilation, groups, bias=draw(st.booleans())
        )
        layers = [convolution, nn.BatchNorm1d(2 * groups), nn.ReLU(), pooling, nn.Flatten(), nn.LazyLinear(3)]
        model = nn.Sequential(*layers).eval()
        inputs = torch.randn(draw(st.integers(1, 3)), channels, steps)
        model(inputs)
    return model, inputs


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=small_networks_over_time())
def test_random_shapes_over_time(pool: PartyPool, case: tuple[nn.Module, torch.Tensor]) -> None:
    """Protects: as above, for convolutions and pooling over time."""
    _assert_secure_and_exact(pool, *case)


def _assert_secure_and_exact(pool: PartyPool, model: nn.Module, inputs: torch.Tensor) -> None:
    outcomes = pool.run(one_way, model, inputs, dealt=True)
    expected = centred(predict_logits(model, inputs, len(inputs), CPU))
    assert float((outcomes[0][0].logits_NC - expected).abs().max()) < 1e-3
    for prediction, predicted in outcomes:
        assert wire_counts(prediction.cost) == wire_counts(predicted)
