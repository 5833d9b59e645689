from __future__ import annotations

import torch

from smule_crypten.data.images import UNKNOWN, LabelledImages
from smule_crypten.training.pool import AnsweredPool
from smule_crypten.types import SoftLabels


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


def make_pool(source: Answers) -> AnsweredPool:
    """Six samples with the ids 10 to 15, whose only pixel is their id."""
    ids = torch.arange(10, 16)
    images = LabelledImages(ids.float().view(6, 1, 1, 1), torch.full((6,), UNKNOWN), ids)
    return AnsweredPool(images, source, torch.device("cpu"), torch.Generator().manual_seed(0))


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


def test_forgotten_answers_are_not_drawn_any_more() -> None:
    """An exchange in quarantine leaves nothing behind in the pool."""
    source = Answers()
    source.known = {11}
    pool = make_pool(source)
    pool.refresh()
    assert len(pool) == 1
    source.known = set()
    pool.refresh()
    assert len(pool) == 0
