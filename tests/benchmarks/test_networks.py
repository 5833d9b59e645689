"""Accuracy by bytes: the figures of the page that need no training, and what counts as better."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch

from smule_crypten.config.sections import ModelConfig
from smule_crypten.errors import ModelError
from smule_crypten.models.zoo import build_model


@pytest.mark.parametrize(
    ("name", "relus", "two_party", "lean"),
    [
        ("small_convnet", 7168, 207.9, 304.1),
        ("linear_stem_convnet", 3072, 107.5, 141.8),
        ("strided_convnet", 3584, 122.7, 160.0),
        ("c8:16s4p2 B R c3:64 P B R c3:128 P B R", 2560, 95.3, 119.1),
    ],
)
def test_the_bytes_of_the_page(networks: ModuleType, name: str, relus: int, two_party: float, lean: float) -> None:
    """Protects: the published KB a query all in, of the zoo and of a network by its layers."""
    row = networks.priced(name)
    assert (row.relus, round(row.two_party, 1), round(row.lean, 1)) == (relus, two_party, lean)


def test_layers_written_out_are_the_network_of_the_zoo(networks: ModuleType) -> None:
    """The search and the zoo compare the same network: the same weights from the same seed."""
    shape = (3, 32, 32)
    written = build_model(networks.variant("c8:32s4p2 B R c3:64 P B R c3:128 P B R"), shape, 10, seed=3).state_dict()
    named = build_model(ModelConfig(name="strided_convnet"), shape, 10, seed=3).state_dict()
    pairs = zip(written.values(), named.values(), strict=True)
    assert all(torch.equal(first, second) for first, second in pairs)
    with pytest.raises(ModelError, match="failed with ValueError: not a layer: c3"):
        networks.priced("R c3")


def row(networks: ModuleType, name: str, two_party: float, *accuracies: float) -> Any:
    return networks.Row(name=name, relus=1, two_party=two_party, lean=1.0, accuracies=accuracies)


def test_the_front_and_the_default(networks: ModuleType) -> None:
    """Beaten is what costs more and is no better. The default may be worse than what costs more, or by a little."""
    cheap, default, worse, dear = (
        row(networks, "lenet", 90.0, 0.60, 0.62),
        row(networks, "strided_convnet", 120.0, 0.69, 0.68),
        row(networks, "small_convnet", 200.0, 0.64),
        row(networks, "wide_convnet", 400.0, 0.72),
    )
    rows = [dear, worse, cheap, default]
    assert networks.front(rows) == [dear, cheap, default]
    assert networks.better_than_the_default(rows) == []
    assert networks.better_than_the_default([*rows, row(networks, "mlp", 120.0, 0.694)]) == []
    better = row(networks, "mlp", 120.0, 0.70)
    assert networks.better_than_the_default([*rows, better]) == [better]
    table = networks.as_markdown(rows).splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == [
        "| lenet *",
        "| strided_convnet *",
        "| small_convnet",
        "| wide_convnet *",
    ]
    assert networks.plotted(rows).startswith("<?xml")
