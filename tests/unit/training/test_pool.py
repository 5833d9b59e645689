from __future__ import annotations

import torch

from smule_crypten.data.samples import UNKNOWN, Samples
from smule_crypten.training.ensemble import UNASKED
from smule_crypten.training.pool import SoftLabelledPool
from smule_crypten.types import SoftLabels


class Answers:
    """Answers the ids it knows with (id, -id) and the weight 1 / id; of some the peer was not asked."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.unasked: set[int] = set()

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        positions = torch.tensor([i for i, key in enumerate(sample_ids.tolist()) if key in self.known]).long()
        if len(positions) == 0:
            return None
        ids = sample_ids[positions]
        steps = torch.tensor([UNASKED if key in self.unasked else 0 for key in ids.tolist()])
        return SoftLabels(
            positions=positions, logits_NC=torch.stack([ids, -ids], 1).float(), model_step=steps, weight_M=1 / ids
        )


def make_pool(source: Answers) -> SoftLabelledPool:
    """Six samples with the ids 10 to 15, whose only pixel is their id."""
    ids = torch.arange(10, 16)
    images = Samples(ids.float().view(6, 1, 1, 1), torch.full((6,), UNKNOWN), ids)
    return SoftLabelledPool(images, source, torch.device("cpu"), torch.Generator().manual_seed(0))


def drawn(pool: SoftLabelledPool, count: int, unasked_share: float = 0.0) -> list[int]:
    batch = pool.draw(count, unasked_share)
    assert batch is not None
    return sorted(int(image) for image in batch[0].flatten())


def test_only_answered_samples_are_drawn_each_with_its_own_answer() -> None:
    """An image, its logits and its weight stay together; what was not answered never appears."""
    source = Answers()
    pool = make_pool(source)
    pool.refresh()
    assert pool.draw(4, 0.5) is None
    source.known = {11, 12, 15}
    pool.refresh()
    batch = pool.draw(10, 0.0)
    assert batch is not None
    images, logits, weights = batch
    assert sorted(images.flatten().tolist()) == [11.0, 12.0, 15.0]
    assert torch.equal(logits[:, 0], images.flatten())
    assert torch.equal(weights, 1 / images.flatten())


def test_none_is_drawn_again_before_all_were_drawn() -> None:
    """Two batches of three hold all six."""
    source = Answers()
    source.known = set(range(10, 16))
    pool = make_pool(source)
    pool.refresh()
    assert sorted(drawn(pool, 3) + drawn(pool, 3)) == list(range(10, 16))


def test_unasked_samples_have_a_share_of_their_own() -> None:
    """However many they are, they do not crowd out the few that the peer was asked about."""
    source = Answers()
    source.known, source.unasked = set(range(10, 16)), {12, 13, 14, 15}
    pool = make_pool(source)
    pool.refresh()
    assert drawn(pool, 4, 0.0) == [10, 11]
    first, second = drawn(pool, 4, 0.5), drawn(pool, 4, 0.5)
    assert first[:2] == second[:2] == [10, 11]
    assert sorted(first[2:] + second[2:]) == [12, 13, 14, 15]


def test_forgotten_answers_are_not_drawn_any_more() -> None:
    """An exchange in quarantine leaves nothing behind in the pool."""
    source = Answers()
    source.known = {11}
    pool = make_pool(source)
    pool.refresh()
    assert drawn(pool, 3) == [11]
    source.known = set()
    pool.refresh()
    assert pool.draw(3, 0.0) is None
