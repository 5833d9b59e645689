from __future__ import annotations

import dataclasses
import itertools
import re
import time

import numpy as np
import pytest
import torch
from public_maps import PATCHES, module

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.errors import DataError, ModelError
from smule_crypten.features.cache import FeatureCache
from smule_crypten.features.computing import Featuriser, Standardised, featuriser
from smule_crypten.features.photographs import crops
from smule_crypten.features.public_map import build_map

CPU = torch.device("cpu")
SHAPE = (3, 8, 8)


def at_work(config: FeaturesConfig, shape: tuple[int, ...] = SHAPE) -> Featuriser:
    said: list[str] = []
    return featuriser(build_map(config, shape), FeatureCache(None), CPU, said.append)


def some_images(count: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def test_features_are_standardised_by_the_photographs() -> None:
    """By hand in NumPy: mean and deviation of the crops' features, none divided by less than the mean deviation."""
    apply = at_work(module("linear"))
    weight_FP, bias_F = (value.double().numpy() for value in apply.map.network.state_dict().values())
    of_crops_MF = crops(SHAPE, 512).flatten(1).double().numpy() @ weight_FP.T + bias_F
    deviations_F = of_crops_MF.std(axis=0, ddof=1)
    divisors_F = np.maximum(deviations_F, deviations_F.mean())
    inputs = some_images(70)
    raw_NF = inputs.flatten(1).double().numpy() / 255 @ weight_FP.T + bias_F
    np.testing.assert_allclose(
        apply(inputs, "samples").numpy(), (raw_NF - of_crops_MF.mean(axis=0)) / divisors_F, atol=1e-5
    )


def test_what_lies_far_out_is_cut() -> None:
    """No sample can leave the range of fixed point, whatever the map makes of it."""
    apply = at_work(module("linear"))
    far = dataclasses.replace(apply, std_F=apply.std_F / 1000)
    found_NF = far(some_images(9), "samples")
    assert found_NF.abs().amax() == 16
    assert torch.equal(found_NF, (apply(some_images(9), "samples") * 1000).clamp(-16, 16))


def test_bytes_and_fractions_are_the_same_image() -> None:
    """uint8 is scaled to 0..1 before the map, whichever the batch, and the map as one network agrees."""
    apply, inputs = at_work(PATCHES), some_images(70)
    found_NF = apply(inputs, "samples")
    torch.testing.assert_close(apply(inputs.float() / 255, "samples"), found_NF)
    torch.testing.assert_close(torch.cat([apply(inputs[:3], "a few"), apply(inputs[3:], "others")]), found_NF)
    with torch.no_grad():
        torch.testing.assert_close(Standardised(apply.map, apply.mean_F, apply.std_F)(inputs.float() / 255), found_NF)


def test_samples_that_no_photograph_fits_are_left_as_the_map_makes_them() -> None:
    """Vectors and series: whoever writes the map standardises there."""
    apply = at_work(module("linear"), (2, 7))
    inputs = torch.randn(5, 2, 7, generator=torch.Generator().manual_seed(4)) * 100
    assert torch.equal(apply(inputs, "samples"), apply.map.network(inputs))


@pytest.mark.parametrize("factor", [2.0, -1.0])
def test_images_on_another_scale_are_refused(factor: float) -> None:
    with pytest.raises(
        DataError, match=r"^the samples hold values of .* features=patches takes images as uint8 or with"
    ):
        at_work(PATCHES)(some_images(2).float() / 255 * factor, "the samples")


def test_samples_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match=re.escape("have shape (2, 3, 9, 9); the public map takes (N, 3, 8, 8)")):
        at_work(PATCHES)(some_images(2, (3, 9, 9)), "the samples")


@pytest.mark.parametrize(
    ("kind", "words"), [("nan", "makes NaN or infinite values of number 1 of"), ("size", "makes (2, 2) of 2")]
)
def test_what_a_map_must_not_make_is_found(kind: str, words: str) -> None:
    """A map that fits black images, and fails on others, is found out where it fails."""
    apply = at_work(module("of_bright", kind=kind), (1, 7))
    inputs = torch.zeros(2, 1, 7)
    assert apply(inputs, "samples").shape == (2, 7)
    inputs[1, 0, 0] = 1
    with pytest.raises(ModelError, match=re.escape(words)):
        apply(inputs, "samples")


def test_progress_is_told_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch by batch, not more often than every five seconds, and how long it took."""
    seconds = itertools.count(step=4)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    said: list[str] = []
    apply = featuriser(build_map(module("linear"), (6,)), FeatureCache(None), CPU, said.append)
    apply(torch.zeros(4 * 64, 6), "training samples")
    assert said == [
        "features of training samples: 128 of 256, about 8 s left",
        "features of 256 training samples computed in 20.0 s",
    ]


def test_what_is_changed_before_the_map_is_changed_batch_by_batch() -> None:
    """In order: what draws at random draws the same each time."""
    apply, seen = at_work(module("linear"), (6,)), []

    def change(batch: torch.Tensor) -> torch.Tensor:
        seen.append(len(batch))
        return batch + 1

    found = apply(torch.zeros(100, 6), "samples", "a digest", change)
    assert seen == [64, 36]
    assert torch.equal(found, apply(torch.ones(100, 6), "samples"))
