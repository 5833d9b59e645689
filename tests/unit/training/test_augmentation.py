from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from smule_crypten.config.sections import AugmentationConfig
from smule_crypten.errors import ConfigError
from smule_crypten.training.augmentation import augment, crop_and_flip


@pytest.fixture
def inputs_NX() -> torch.Tensor:
    return torch.randn(40, 3, 5, 7, generator=torch.Generator().manual_seed(0))


def one_by_one(
    inputs_NX: torch.Tensor, padding: int, top_N: torch.Tensor, left_N: torch.Tensor, flipped_N: torch.Tensor
) -> torch.Tensor:
    """The plain way: pad, cut and mirror each image on its own."""
    height, width = inputs_NX.shape[2:]
    results = []
    for image, top, left, flipped in zip(inputs_NX, top_N, left_N, flipped_N, strict=True):
        cut = F.pad(image, (padding,) * 4)[:, top : top + height, left : left + width]
        results.append(cut.flip(-1) if flipped else cut)
    return torch.stack(results)


@pytest.mark.parametrize("shape", [(7,), (3, 7)], ids=str)
def test_only_images_are_cropped_and_flipped(shape: tuple[int, ...]) -> None:
    """Vectors and series are refused with what to set, and pass where nothing is to be done to them."""
    samples = torch.randn(4, *shape)
    for wanted in (AugmentationConfig(crop=1), AugmentationConfig(flip=True)):
        with pytest.raises(ConfigError, match=r"for images, .* set training\.augmentation\.crop=0 and"):
            augment(samples, wanted, torch.Generator())
    assert augment(samples, AugmentationConfig(), torch.Generator()) is samples


@pytest.mark.parametrize("padding", [0, 1, 2, 6])
def test_equals_cropping_image_by_image(inputs_NX: torch.Tensor, padding: int) -> None:
    """The index arithmetic picks the pixels that the plain way picks, for images that are not square."""
    generator = torch.Generator().manual_seed(1)
    top_N, left_N = torch.randint(0, 2 * padding + 1, (2, 40), generator=generator)
    flipped_N = torch.rand(40, generator=generator) < 0.5
    arguments = (inputs_NX, padding, top_N, left_N, flipped_N)
    assert torch.equal(crop_and_flip(*arguments), one_by_one(*arguments))


def test_off_returns_the_same_tensor_and_draws_nothing(inputs_NX: torch.Tensor) -> None:
    """Without augmentation no time, memory or randomness is spent."""
    generator = torch.Generator().manual_seed(2)
    before = generator.get_state()
    assert augment(inputs_NX, AugmentationConfig(), generator) is inputs_NX
    assert torch.equal(generator.get_state(), before)


def test_flip_alone_leaves_or_mirrors_each_image(inputs_NX: torch.Tensor) -> None:
    """flip without crop gives each image or its mirror image, both about equally often."""
    result = augment(inputs_NX, AugmentationConfig(flip=True), torch.Generator().manual_seed(3))
    kept_N = (result == inputs_NX).flatten(1).all(1)
    mirrored_N = (result == inputs_NX.flip(-1)).flatten(1).all(1)
    assert (kept_N ^ mirrored_N).all()
    assert 10 <= int(kept_N.sum()) <= 30


def test_crop_alone_never_mirrors_and_reaches_every_offset() -> None:
    """All (2 * crop + 1)^2 windows occur, the outermost ones included, and no mirrored one."""
    image_HW = torch.arange(1.0, 17.0).view(4, 4)
    results = augment(image_HW.expand(600, 1, 4, 4), AugmentationConfig(crop=1), torch.Generator().manual_seed(4))
    padded_HW = F.pad(image_HW, (1,) * 4)
    windows = {tuple(padded_HW[y : y + 4, x : x + 4].flatten().tolist()) for y in range(3) for x in range(3)}
    assert {tuple(result.flatten().tolist()) for result in results} == windows


def test_seed_decides_and_input_is_kept(inputs_NX: torch.Tensor) -> None:
    """The same generator seed gives the same batch, another seed another one, and the data set stays as it is."""
    original_NCHW = inputs_NX.clone()
    config = AugmentationConfig(crop=2, flip=True)
    first, second, other = (augment(inputs_NX, config, torch.Generator().manual_seed(s)) for s in (5, 5, 6))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(inputs_NX, original_NCHW)
