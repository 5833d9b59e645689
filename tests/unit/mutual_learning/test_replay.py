from __future__ import annotations

import torch

from smule_crypten.mutual_learning.replay import ViewReplay


def stored(capacity: int, max_age: int | None, *counts: int) -> ViewReplay:
    """A replay after exchanges of counts views; each has its number, over all exchanges, as pixel and as logit."""
    replay = ViewReplay((1, 1, 1), 1, capacity, max_age)
    numbers = torch.arange(sum(counts)).float().view(-1, 1)
    for step, part in enumerate(numbers.split(list(counts)), start=1):
        replay.store(part.view(-1, 1, 1, 1), part, model_step=step)
    return replay


def kept(replay: ViewReplay) -> tuple[list[int], list[int]]:
    """Numbers and model steps of the views, of which each must have its own answer."""
    found = replay.answered()
    if found is None:
        return [], []
    assert torch.equal(found.images_MCHW.flatten(), found.logits_MC.flatten())
    return found.logits_MC.flatten().int().tolist(), found.model_step_M.tolist()


def test_the_latest_are_kept() -> None:
    """Without room the oldest go first, also those of one exchange that is larger than all."""
    assert kept(stored(5, None, 2, 2)) == ([0, 1, 2, 3], [1, 1, 2, 2])
    assert kept(stored(3, None, 2, 2)) == ([1, 2, 3], [1, 2, 2])
    assert kept(stored(3, None, 1, 5)) == ([3, 4, 5], [2, 2, 2])


def test_old_answers_are_forgotten() -> None:
    """By exchanges, whether or not the later ones asked about views."""
    assert kept(stored(9, 2, 2, 1)) == ([0, 1, 2], [1, 1, 2])
    assert kept(stored(9, 2, 2, 1, 0)) == ([2], [2])
    assert kept(stored(9, 1, 2, 0)) == ([], [])


def test_nothing_yet() -> None:
    """A replay without views has none to learn from."""
    assert stored(5, None).answered() is None


def test_it_goes_on_where_it_was_saved() -> None:
    """What is kept, and how old it is."""
    replay, other = stored(5, 2, 2, 1), stored(5, 2)
    other.load_state_dict(replay.state_dict())
    other.store(torch.empty(0, 1, 1, 1), torch.empty(0, 1), model_step=3)
    assert kept(other) == ([2], [2])
    assert kept(replay) == ([0, 1, 2], [1, 1, 2])


def test_an_exchange_is_forgotten() -> None:
    """Quarantine: the views of one exchange go, with their answers; the others stay."""
    replay = stored(9, None, 2, 1, 2)
    replay.forget(1)
    assert kept(replay) == ([2, 3, 4], [2, 3, 3])
