from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from smule_crypten.data.samples import DataBundle, Samples, check_samples, numbered_classes, random_positions
from smule_crypten.errors import ConfigError, DataError

Change = Callable[[Samples], Samples]


def replace(images: Samples, **changes: torch.Tensor) -> Samples:
    return dataclasses.replace(images, **changes)


def with_pixel(value: float) -> Change:
    def change(images: Samples) -> Samples:
        images.inputs[4, 1, 2, 0] = value
        return images

    return change


def with_label(value: int) -> Change:
    def change(images: Samples) -> Samples:
        images.targets[2:] = value
        return images

    return change


def test_samples_are_found_by_id() -> None:
    """Ids lie in no order; each comes with its own image and label, in the order asked for, as often as asked for."""
    ids = torch.tensor([40, 7, 1000, 3])
    images = Samples(ids.float().view(4, 1, 1, 1), ids % 7, ids)
    found = images.of_ids(torch.tensor([1000, 40, 1000]))
    assert found.sample_ids.tolist() == [1000, 40, 1000]
    assert found.inputs.flatten().tolist() == [1000.0, 40.0, 1000.0]
    assert found.targets.tolist() == [6, 5, 6]
    assert len(images.of_ids(ids[:0])) == 0


@pytest.mark.parametrize(
    ("names", "public"),
    [
        (numbered_classes(3), None),
        (("ant", "bee"), ("ant", "bee")),
        (("1", "0"), ("1", "0")),
        (("Go\u0308tze", "b"), ("G\u00f6tze", "b")),
    ],
)
def test_public_class_names(samples: Samples, names: tuple[str, ...], public: tuple[str, ...] | None) -> None:
    """Numbers in order say nothing beyond their count; other names must be equal, however spelled."""
    assert DataBundle(samples, samples, names).public_class_names == public


def test_select_keeps_image_label_and_id_together(samples: Samples) -> None:
    """A selection must not separate a sample from its id, whatever the order."""
    chosen = samples.select(torch.tensor([4, 0]))
    assert len(chosen) == 2
    assert chosen.sample_ids.tolist() == [104, 100]
    assert chosen.targets.tolist() == [1, 0]
    assert torch.equal(chosen.inputs, samples.inputs[[4, 0]])


def test_normalized_scales_bytes_first() -> None:
    """uint8 images are scaled to [0, 1] before the constants apply."""
    images = Samples(torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1), *[torch.arange(3)] * 2)
    result = images.normalized((0.5,), (0.25,)).inputs
    assert result.dtype == torch.float32
    assert torch.allclose(result.flatten(), torch.tensor([-2.0, -1.2, 2.0]))


def test_normalized_leaves_floats_unscaled_and_the_original_unchanged(samples: Samples) -> None:
    """Float images take the constants as they are, one a channel, and the stored images stay intact."""
    before = samples.inputs.clone()
    result = samples.normalized((0.0, 1.0), (1.0, 2.0))
    assert torch.equal(samples.inputs, before)
    assert torch.allclose(result.inputs[:, 0], before[:, 0])
    assert torch.allclose(result.inputs[:, 1], (before[:, 1] - 1) / 2)
    assert torch.equal(result.sample_ids, samples.sample_ids)


@pytest.mark.parametrize(("mean", "std", "key"), [((0.0,) * 3, (1.0,), "mean"), ((0.0,), (1.0,) * 3, "std")])
def test_normalized_refuses_a_wrong_number_of_constants(
    samples: Samples, mean: tuple[float, ...], std: tuple[float, ...], key: str
) -> None:
    """Three constants for two channels must not be broadcast or cut."""
    with pytest.raises(ConfigError, match=rf"data\.{key}: 3 values for inputs with 2 channel"):
        samples.normalized(mean, std)


@pytest.mark.parametrize("shape", [(2,), (2, 7), (2, 3, 5)])
def test_inputs_of_every_rank_are_normalized_on_their_first_axis(shape: tuple[int, ...]) -> None:
    """A vector has a constant a feature, a signal and an image one a channel."""
    values = torch.randn(4, *shape)
    part = Samples(values, torch.zeros(4, dtype=torch.int64), torch.arange(4)).normalized((1.0, 2.0), (2.0, 4.0))
    for place in range(2):
        expected = (values[:, place] - (1.0, 2.0)[place]) / (2.0, 4.0)[place]
        assert torch.equal(part.inputs[:, place], expected)
    check_samples(part, dataset="npz", split="train", num_classes=1)


def test_class_counts_include_absent_classes(samples: Samples) -> None:
    """A class without samples counts 0."""
    assert samples.class_counts(4).tolist() == [3, 2, 1, 0]


def test_bundle_tells_shape_and_classes(samples: Samples) -> None:
    """Networks are built from these two properties."""
    bundle = DataBundle(samples, samples, ("x", "y", "z"))
    assert bundle.input_shape == (2, 3, 3)
    assert bundle.num_classes == 3


def test_random_positions_are_a_fixed_sorted_subset() -> None:
    """The subset is the same in every run, without repetition, and spread over the whole range."""
    positions = random_positions(1000, 100)
    assert torch.equal(positions, random_positions(1000, 100))
    assert torch.equal(positions, positions.unique())
    assert len(positions) == 100
    assert 400 < positions.float().mean() < 600


@pytest.mark.parametrize("limit", [None, 5, 6])
def test_random_positions_without_a_binding_limit_are_all(limit: int | None) -> None:
    """A limit above the count takes every sample in order."""
    assert random_positions(5, limit).tolist() == [0, 1, 2, 3, 4]


def test_sound_samples_pass(samples: Samples) -> None:
    """The checks must not refuse good data, float or uint8."""
    check_samples(samples, dataset="npz", split="train", num_classes=3)
    bytes_NCHW = samples.inputs.to(torch.uint8)
    check_samples(replace(samples, inputs=bytes_NCHW), dataset="npz", split="train", num_classes=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_pixel(float("nan")), "sample 104 holds NaN or infinite"),
        (with_pixel(float("-inf")), "sample 104 holds NaN or infinite"),
        (with_label(3), r"label 3 of sample 102 is outside 0\.\.2"),
        (with_label(-1), r"label -1 of sample 102 is outside 0\.\.2"),
        (lambda s: replace(s, targets=s.targets[:5]), "6 inputs, 5 labels and 6 sample ids"),
        (lambda s: replace(s, sample_ids=s.sample_ids[:4]), "6 inputs, 6 labels and 4 sample ids"),
        (lambda s: replace(s, inputs=s.inputs[:, 0, 0, 0]), r"shape \(6,\); \(samples, features\)"),
        (lambda s: replace(s, inputs=s.inputs[:, 0].byte()), r"shape \(6, 3, 3\) .*look like grey images"),
        (lambda s: replace(s, targets=s.targets[:, None]), r"of shape \(6, 1\); task=classification needs"),
        (lambda s: s.select(torch.arange(0)), "empty"),
        (lambda s: replace(s, inputs=s.inputs[:, :, :, :0]), "empty"),
        (lambda s: replace(s, inputs=s.inputs.double()), "inputs are torch.float64"),
        (lambda s: replace(s, targets=s.targets.int()), "targets are torch.int32"),
        (lambda s: replace(s, sample_ids=s.sample_ids // 2), "occur more than once"),
    ],
)
def test_unusable_samples_are_refused(samples: Samples, change: Change, message: str) -> None:
    """Each defect gives one line that names the data set, the split and the first bad sample."""
    with pytest.raises(DataError, match=message) as raised:
        check_samples(change(samples), dataset="npz", split="test", num_classes=3)
    assert "data set 'npz', split 'test'" in str(raised.value)
    assert "\n" not in str(raised.value)
