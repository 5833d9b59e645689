from __future__ import annotations

import dataclasses

import torch

from smule_crypten.config import AugmentationConfig
from smule_crypten.data.images import UNKNOWN, LabelledImages
from smule_crypten.training.pool import AnsweredPool
from smule_crypten.types import AnsweredImages, SoftLabels


class Answers:
    """Answers the ids it knows with (id, -id) and the weight 1 / id."""

    def __init__(self) -> None:
        self.known: set[int] = set()

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        positions = torch.tensor([i for i, key in enumerate(sample_ids.tolist()) if key in self.known]).long()
        if len(positions) == 0:
            return None
        ids = sample_ids[positions].float()
        return SoftLabels(
            positions=positions, logits_NC=torch.stack([ids, -ids], 1), model_step=positions, weight_M=1 / ids
        )

    def weighed(self, soft: SoftLabels) -> SoftLabels:
        return dataclasses.replace(soft, weight_M=torch.full((len(soft.positions),), 0.5))


def make_pool(source: Answers, views: Views | None = None) -> AnsweredPool:
    """Six samples with the ids 10 to 15, whose only pixel is their id."""
    ids = torch.arange(10, 16)
    images = LabelledImages(ids.float().view(6, 1, 1, 1), torch.full((6,), UNKNOWN), ids)
    return AnsweredPool(images, source, torch.device("cpu"), torch.Generator().manual_seed(0), views)


def test_only_answered_samples_are_drawn_each_with_its_own_answer() -> None:
    """An image, its logits and its weight stay together; what was not answered never appears."""
    source = Answers()
    pool = make_pool(source)
    pool.refresh()
    assert len(pool) == 0
    source.known = {11, 12, 15}
    pool.refresh()
    images, logits, weights = pool.draw(10)
    assert sorted(images.flatten().tolist()) == [11.0, 12.0, 15.0]
    assert torch.equal(logits[:, 0], images.flatten())
    assert torch.equal(weights, 1 / images.flatten())


def test_none_is_drawn_again_before_all_were_drawn() -> None:
    """Two batches of three hold all six."""
    source = Answers()
    source.known = set(range(10, 16))
    pool = make_pool(source)
    pool.refresh()
    drawn = [pool.draw(3)[0].flatten().tolist() for _ in range(4)]
    assert sorted(drawn[0] + drawn[1]) == sorted(drawn[2] + drawn[3]) == [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]


class Views:
    """Answers to images outside of the pool, with the pixel as logit; weights come from the source."""

    def __init__(self, *pixels: float) -> None:
        self.pixels = torch.tensor(pixels)

    def answered(self) -> AnsweredImages | None:
        if len(self.pixels) == 0:
            return None
        return AnsweredImages(
            images_MCHW=self.pixels.view(-1, 1, 1, 1),
            logits_MC=torch.stack([self.pixels, -self.pixels], 1),
            model_step_M=torch.zeros(len(self.pixels), dtype=torch.int64),
        )


def test_only_the_pool_is_augmented() -> None:
    """A view is what the peer was asked about: shifted, it would be another image than the one answered."""
    source = Answers()
    source.known = {11, 14}
    pool = make_pool(source, Views(0.5, 0.25))
    pool.refresh()
    drawn = torch.cat([pool.draw(4, AugmentationConfig(crop=1))[0] for _ in range(20)]).flatten().tolist()
    assert (drawn.count(0.5), drawn.count(0.25)) == (20, 20)
    assert drawn.count(0.0) > 0
    assert {11.0, 14.0} < set(drawn)


def test_views_are_drawn_beside_the_pool_each_with_its_own_answer() -> None:
    """Exactly as they were asked; those that the replay has forgotten are gone at the next refresh."""
    source, views = Answers(), Views()
    pool = make_pool(source, views)
    pool.refresh()
    assert len(pool) == 0
    for pixels, known in (((0.5, 0.25), set()), ((0.5, 0.25), {11}), ((0.75,), {11, 14})):
        views.pixels, source.known = torch.tensor(pixels), known
        pool.refresh()
        images, logits, weights = pool.draw(10)
        assert sorted(images.flatten().tolist()) == sorted([*pixels, *map(float, known)])
        assert torch.equal(logits[:, 0], images.flatten())
        assert torch.equal(weights, torch.where(images.flatten() < 1, 0.5, 1 / images.flatten()))
