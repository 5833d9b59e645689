from __future__ import annotations

import pytest
import torch

from smule_crypten.errors import ProtocolError
from smule_crypten.mutual_learning.cache import SoftLabelCache

IDS = torch.tensor([40, 7, 1000, 3])


def logits(*values: float) -> torch.Tensor:
    """(M, 2) with recognizable rows."""
    return torch.tensor([[value, -value] for value in values], dtype=torch.float32)


def test_nothing_is_known_at_first() -> None:
    """The trainer falls back to cross entropy alone, which it recognizes by None."""
    assert SoftLabelCache(IDS, num_classes=2).lookup(IDS) is None


def test_answers_are_found_by_sample_id() -> None:
    """Ids are unsorted on both sides: an answer must land at its own sample, at the position that was asked for."""
    cache = SoftLabelCache(IDS, num_classes=2)
    cache.store(torch.tensor([1000, 3, 40]), logits(1, 2, 3), model_step=17)
    found = cache.lookup(torch.tensor([3, 7, 40, 3, 1000]))
    assert found is not None
    assert found.positions.tolist() == [0, 2, 3, 4]
    assert torch.equal(found.logits_NC, logits(2, 3, 2, 1))
    assert found.model_step.tolist() == [17] * 4
    assert cache.lookup(torch.tensor([7])) is None


def test_latest_answer_replaces_earlier_ones() -> None:
    """The peer improves: what it said before is gone where it answered again, and stays where it did not."""
    cache = SoftLabelCache(IDS, num_classes=2)
    cache.store(torch.tensor([7, 40]), logits(1, 2), model_step=10)
    cache.store(torch.tensor([40, 3]), logits(3, 4), model_step=20)
    found = cache.lookup(torch.tensor([7, 40, 3]))
    assert found is not None
    assert torch.equal(found.logits_NC, logits(1, 3, 4))
    assert found.model_step.tolist() == [10, 20, 20]


def test_returned_tensors_are_copies() -> None:
    """A loss that works in place must not change what the cache answers next time."""
    cache = SoftLabelCache(IDS, num_classes=2)
    cache.store(IDS, logits(1, 2, 3, 4), model_step=1)
    found = cache.lookup(IDS)
    assert found is not None
    found.logits_NC.zero_()
    found.model_step.zero_()
    again = cache.lookup(IDS)
    assert again is not None
    assert torch.equal(again.logits_NC, logits(1, 2, 3, 4))
    assert again.model_step.tolist() == [1] * 4


@pytest.mark.parametrize("unknown", [5, 0, -1, 10**6])
def test_unknown_ids_are_refused(unknown: int) -> None:
    """An id of another data set, between, before or after the own ones, is a mistake and never a neighbor's answer."""
    cache = SoftLabelCache(IDS, num_classes=2)
    ids = torch.tensor([7, unknown])
    with pytest.raises(ProtocolError, match=f"sample id {unknown} "):
        cache.lookup(ids)
    with pytest.raises(ProtocolError, match=f"sample id {unknown} "):
        cache.store(ids, logits(1, 2), model_step=1)
    assert cache.lookup(torch.tensor([7])) is None


def test_an_exchange_is_forgotten() -> None:
    """Quarantine: the answers of one exchange are gone, those of others stay, and newer ones are kept as before."""
    cache = SoftLabelCache(IDS, num_classes=2)
    cache.store(torch.tensor([7, 40]), logits(1, 2), model_step=10)
    cache.store(torch.tensor([40, 3]), logits(3, 4), model_step=20)
    cache.forget(2)
    found = cache.lookup(IDS)
    assert found is not None
    assert IDS[found.positions].tolist() == [7]
    cache.store(torch.tensor([3]), logits(5), model_step=30)
    cache.forget(1)
    found = cache.lookup(IDS)
    assert found is not None
    assert (IDS[found.positions].tolist(), found.logits_NC.tolist()) == ([3], [[5.0, -5.0]])
