from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from smule_crypten.config.sections import PartitionConfig
from smule_crypten.data.partition import missing_classes, split
from smule_crypten.errors import ConfigError, DataError

LABELS_N = torch.arange(1000) % 10
ALL_KINDS: list[dict[str, Any]] = [
    {"name": "iid"},
    {"name": "unequal", "fraction_a": 0.8},
    {"name": "dirichlet", "alpha": 0.5},
    {"name": "by_class", "classes_a": (0, 3, 9)},
]


def class_shares(positions: torch.Tensor) -> torch.Tensor:
    return torch.bincount(LABELS_N[positions], minlength=10) / 100


@pytest.mark.parametrize("values", ALL_KINDS, ids=lambda values: values["name"])
def test_parts_are_sorted_disjoint_and_complete(values: dict[str, Any]) -> None:
    """No sample may be lost, or be held by both parties."""
    at_a, at_b = split(LABELS_N, PartitionConfig(**values), 10, seed=1)
    for positions in (at_a, at_b):
        assert positions.dtype == torch.int64
        assert (positions.diff() > 0).all()
    assert torch.equal(torch.cat([at_a, at_b]).sort().values, torch.arange(1000))


@pytest.mark.parametrize("values", ALL_KINDS[:3], ids=lambda values: values["name"])
def test_seed_decides_the_split(values: dict[str, Any]) -> None:
    """The same seed repeats a split, another one changes it, and no global random state takes part."""
    config = PartitionConfig(**values)
    first = split(LABELS_N, config, 10, seed=1)[0]
    torch.rand(3)
    np.random.default_rng().random(3)
    assert torch.equal(first, split(LABELS_N, config, 10, seed=1)[0])
    assert not torch.equal(first, split(LABELS_N, config, 10, seed=2)[0])


@pytest.mark.parametrize(("name", "fraction"), [("iid", 0.5), ("iid", 0.3), ("unequal", 0.8)])
def test_uniform_split_has_exactly_the_asked_share(name: Any, fraction: float) -> None:
    """fraction_a is exact for uniform splits, and each class is shared alike."""
    at_a, _ = split(LABELS_N, PartitionConfig(name=name, fraction_a=fraction), 10, seed=0)
    assert len(at_a) == round(1000 * fraction)
    assert (class_shares(at_a) - fraction).abs().max() < 0.15


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_dirichlet_share_is_right_on_average(fraction: float) -> None:
    """The expected share of party a is fraction_a, whatever the concentration."""
    config = PartitionConfig(name="dirichlet", alpha=0.5, fraction_a=fraction)
    shares = [len(split(LABELS_N, config, 10, seed=seed)[0]) / 1000 for seed in range(200)]
    assert np.mean(shares) == pytest.approx(fraction, abs=0.03)


def test_alpha_decides_how_much_classes_differ() -> None:
    """A small concentration gives whole classes to one party, a large one comes close to iid."""
    skewed = class_shares(split(LABELS_N, PartitionConfig(name="dirichlet", alpha=1e-3), 10, seed=0)[0])
    even = class_shares(split(LABELS_N, PartitionConfig(name="dirichlet", alpha=1e6), 10, seed=0)[0])
    assert all(share in (0.0, 1.0) for share in skewed.tolist())
    assert (even - 0.5).abs().max() <= 0.01


def test_dirichlet_follows_beta_distribution() -> None:
    """At alpha = 1 and equal parts the share of a class is uniform on [0, 1]: variance 1/12."""
    config = PartitionConfig(name="dirichlet", alpha=1.0)
    shares = torch.cat([class_shares(split(LABELS_N, config, 10, seed=seed)[0]) for seed in range(100)])
    assert shares.var() == pytest.approx(1 / 12, rel=0.1)


def test_by_class_gives_whole_classes() -> None:
    """Party a holds exactly the classes asked for."""
    at_a, at_b = split(LABELS_N, PartitionConfig(name="by_class", classes_a=(0, 3, 9)), 10, seed=0)
    assert missing_classes(torch.bincount(LABELS_N[at_b], minlength=10)) == [0, 3, 9]
    assert missing_classes(torch.bincount(LABELS_N[at_a], minlength=10)) == [1, 2, 4, 5, 6, 7, 8]


def test_no_class_is_missing_in_complete_data() -> None:
    """The list is empty where every class occurs."""
    assert missing_classes(torch.bincount(LABELS_N, minlength=10)) == []


@pytest.mark.parametrize("label", [-1, 10])
def test_unknown_class_is_refused(label: int) -> None:
    """A class that does not exist is a wrong setting, not an empty part."""
    with pytest.raises(ConfigError, match=rf"no class {label}; classes are 0\.\.9"):
        split(LABELS_N, PartitionConfig(name="by_class", classes_a=(0, label)), 10, seed=0)


@pytest.mark.parametrize(
    ("values", "labels_N", "party", "remedy"),
    [
        ({"name": "iid"}, LABELS_N[:1], "a", "more samples"),
        ({"name": "unequal", "fraction_a": 0.999}, LABELS_N[:100], "b", "fraction_a"),
        ({"name": "dirichlet", "alpha": 1e-3}, torch.zeros(5, dtype=torch.int64), "[ab]", r"larger partition\.alpha"),
        ({"name": "by_class", "classes_a": tuple(range(10))}, LABELS_N, "b", r"partition\.classes_a"),
        ({"name": "by_class", "classes_a": (9,)}, LABELS_N[:5], "a", r"partition\.classes_a"),
    ],
)
def test_party_without_samples_is_refused(
    values: dict[str, Any], labels_N: torch.Tensor, party: str, remedy: str
) -> None:
    """A party with nothing to train on stops the run, with the setting to change."""
    with pytest.raises(DataError, match=f"leaves none to party {party}; .*{remedy}"):
        split(labels_N, PartitionConfig(**values), 10, seed=0)
