from __future__ import annotations

from typing import get_args

import pytest
import torch

from smule_crypten.config.exchange import ViewName
from smule_crypten.mutual_learning.views import VIEWS, Views

NAMES = [name for name in get_args(ViewName) if name != "none"]


def images(count: int = 64) -> torch.Tensor:
    """Two channels of different range around 0."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, 2, 8, 8, generator=generator) * torch.tensor([1.0, 5.0]).view(1, 2, 1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_views_differ_from_their_images_and_stay_in_range(name: ViewName) -> None:
    """What fits the range of fixed point as an image fits it as a view; a global generator is not touched."""
    given = images()
    state = torch.get_rng_state()
    views = Views(name, given, seed=0).of(given)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(given, images())
    assert views.shape == given.shape
    assert int((views != given).flatten(1).any(1).sum()) > 56
    for channel in (0, 1):
        assert views[:, channel].min() >= given[:, channel].min()
        assert views[:, channel].max() <= given[:, channel].max()


@pytest.mark.parametrize("name", NAMES)
def test_views_follow_from_the_seed_and_go_on_where_they_were_saved(name: ViewName) -> None:
    """The same images get other views each time, in the same order in every run."""
    given = images()
    first, second, third = Views(name, given, seed=1), Views(name, given, seed=1), Views(name, given, seed=2)
    drawn = [first.of(given) for _ in range(2)]
    assert torch.equal(second.of(given), drawn[0])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(third.of(given), drawn[0])
    third.load_state_dict(second.state_dict())
    assert torch.equal(third.of(given), drawn[1])


@pytest.mark.parametrize("name", get_args(ViewName))
@pytest.mark.parametrize("count", [0, 1])
def test_few_images(name: ViewName, count: int) -> None:
    """None, or one that has no other one to be mixed with."""
    given = images(4)
    assert Views(name, given, seed=0).of(given[:count]).shape == (count, 2, 8, 8)


def test_none_is_the_image() -> None:
    """Nothing is asked about but the sample."""
    assert torch.equal(Views("none", images(), seed=0).of(images()), images())


def constant_images(count: int = 200) -> torch.Tensor:
    """Image i has the value i everywhere."""
    return torch.arange(count).float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous()


def test_mixup_keeps_the_larger_part() -> None:
    """Each view is an image and one other one, which has at most half of it."""
    given = constant_images(2)
    parts = torch.cat([Views("mixup", given, seed=seed).of(given)[0].mean().view(1) for seed in range(50)])
    assert 0 <= parts.min() < 0.1
    assert 0.4 < parts.max() <= 0.5


def test_cutmix_is_a_box_of_one_other_image() -> None:
    """Of at most half of the area, with straight borders."""
    given = constant_images()
    views = Views("cutmix", given, seed=0).of(given)
    foreign = (views != given)[:, 0]
    assert torch.equal(foreign, foreign.any(1, keepdim=True) & foreign.any(2, keepdim=True))
    assert (
        0.4 < foreign.float().mean((1, 2)).max() <= 0.57
    )  # an eighth of a side more, where borders fall between pixels
    assert all(len(view.unique()) <= 2 for view in views)


def test_every_name_has_a_function() -> None:
    """What the configuration accepts and what there is are the same."""
    assert tuple(VIEWS) == get_args(ViewName)
