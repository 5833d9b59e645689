"""`cost_of` is what is counted on the links: bytes each way, rounds and the dealer's bytes."""

from __future__ import annotations

import pytest
from scheme_steps import Exchanged, Shape, exchanged
from steps import CRYPTEN, LEAN, wire_counts

from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.models.zoo import NETWORKS
from smule_crypten.testing import PartyPool

SCHEMES = {"crypten": CRYPTEN, "lean": LEAN}
OWN_NETWORKS = [name for name in NETWORKS if name != "torchvision"]
MLP = ModelConfig(name="mlp", options={"hidden": [8]})

each_scheme = pytest.mark.parametrize("config", SCHEMES.values(), ids=SCHEMES)


def assert_exact(
    pool: PartyPool,
    models: tuple[ModelConfig, ModelConfig],
    shape: Shape,
    counts: tuple[int, int],
    config: SchemeConfig,
    deadline_seconds: float = 30.0,
) -> list[Exchanged]:
    outcomes = pool.run(exchanged, models, shape, counts, config, dealt=True, deadline_seconds=deadline_seconds)
    for outcome in outcomes:
        assert wire_counts(outcome.prediction.cost) == wire_counts(outcome.predicted)
    return outcomes


@each_scheme
@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_every_network_of_the_zoo(pool: PartyPool, config: SchemeConfig, name: str) -> None:
    """Protects: each layer's cost, in both roles, beside a network of another depth."""
    shape = (2, 9) if name == "convnet1d" else (1, 8, 8)
    assert_exact(pool, (ModelConfig(name=name), MLP), shape, (1, 2), config)


@each_scheme
def test_vectors(pool: PartyPool, config: SchemeConfig) -> None:
    """Protects: as above, where the first product is that of the input itself."""
    outcomes = assert_exact(pool, (ModelConfig(name="mlp"), MLP), (30,), (3, 2), config)
    assert max(outcome.error for outcome in outcomes) < 0.05


def test_weights_beyond_what_sockets_hold(pool: PartyPool) -> None:
    """Protects: two large networks cross without either side waiting for the other one to read."""
    large = ModelConfig(name="mlp", options={"hidden": [1500]})
    [outcome, _] = assert_exact(pool, (large, large), (3, 32, 32), (1, 1), LEAN)
    assert outcome.prediction.cost.bytes_sent > 15_000_000


@each_scheme
@pytest.mark.parametrize("counts", [(5, 3), (3, 5), (4, 0), (0, 4), (0, 0)], ids=str)
def test_unequal_parties(pool: PartyPool, config: SchemeConfig, counts: tuple[int, int]) -> None:
    """Protects: directions of different length, a silent one too, in micro-batches that leave a remainder."""
    models = ModelConfig(name="mlp"), ModelConfig(name="resnet8", options={"width": 4})
    outcomes = assert_exact(pool, models, (1, 8, 8), counts, config.model_copy(update={"micro_batch": 2}))
    assert max(outcome.error for outcome in outcomes) < 0.05


@each_scheme
def test_linear_bottlenecks(pool: PartyPool, config: SchemeConfig) -> None:
    """Protects: what MobileNetV2 is made of: depthwise convolutions, and sums of values that no ReLU has cut."""
    model = ModelConfig(name="target", options={"_target_": "scheme_steps.linear_bottlenecks"})
    outcomes = assert_exact(pool, (model, MLP), (1, 8, 8), (2, 3), config)
    assert max(outcome.error for outcome in outcomes) < 0.01


OPTIONS = [
    {"ring_bits": 26},
    {"ring_bits": 64},
    {"ring_bits": 31, "block_bits": 1},
    {"ring_bits": 33, "block_bits": 5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_of_lean(pool: PartyPool, options: dict[str, int]) -> None:
    """Protects: widths that fill no whole byte, trees of other depth, and max pooling, in the cost as on the wire."""
    config = SchemeConfig(name="lean", precision_bits=10, options=options, micro_batch=3)
    models = ModelConfig(name="lenet"), ModelConfig(name="small_convnet", options={"channels": [3, 5]})
    assert_exact(pool, models, (1, 9, 9), (4, 3), config)


TORCHVISION: list[tuple[str, Shape]] = [
    ("resnet18", (3, 32, 32)),  # max pooling and residual sums
    ("regnet_x_400mf", (3, 32, 32)),  # bottlenecks with grouped convolutions
    ("alexnet", (3, 64, 64)),  # overlapping max pooling
    ("vgg11", (3, 32, 32)),  # the largest: 129 million weights
]


@pytest.mark.slow
@each_scheme
@pytest.mark.parametrize(("arch", "shape"), TORCHVISION, ids=[arch for arch, _ in TORCHVISION])
def test_networks_of_torchvision(pool: PartyPool, config: SchemeConfig, arch: str, shape: Shape) -> None:
    """Protects: shapes that our own networks do not have. Party b's network is small: one direction is enough."""
    model = ModelConfig(name="torchvision", options={"arch": arch})
    # vgg11 has 129 million weights, more than is accepted unless both parties say so.
    roomy = config.model_copy(update={"max_elements": 1 << 28})
    assert_exact(pool, (model, MLP), shape, (0, 1), roomy, deadline_seconds=120.0)
