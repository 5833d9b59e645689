"""What is made beforehand for a batch: parts, the order of taking, what is kept, and that it is handed over once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from comparison_harness import REFERENCE, Parties, expected_relu, ideal_parties, play_relu, random_shares, summed

from smule_crypten.comparison import material
from smule_crypten.comparison.cost import Transfers, relu_cost
from smule_crypten.comparison.material import NOTHING, DataOwnerMaking, ModelOwnerMaking
from smule_crypten.comparison.widths import Widths


class Counting:
    """A source, and the sizes of what was taken of it."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.sizes: list[int] = []

    def take(self, count: int) -> Any:
        self.sizes.append(count)
        return self.source.take(count)


def counted() -> list[Any]:
    """M sending and receiving, D sending and receiving."""
    return [Counting(end) for end in vars(ideal_parties(9)).values()]


def arrays(pads: Any) -> Iterator[np.ndarray[Any, Any]]:
    if isinstance(pads, np.ndarray):
        yield pads
    else:
        for piece in pads:
            yield from arrays(piece)


def kept_bytes(pads: Any) -> int:
    """With what a view holds alive."""
    bases = {id(base): base.nbytes for one in arrays(pads) for base in [one if one.base is None else one.base]}
    return sum(bases.values())


def test_what_is_kept_of_a_value() -> None:
    """Counted by hand, M: bits 28 + 8 of digits, 14 + 7 of "equal", 35 of gates, 2 choices; 18, 24 and 14 bits in 4, 4
    and 2 bytes: 2 + 1 + 1 of them. D: 17 + 7 + 1 + 7 + 35 bits and a choice; 1 + 2 + 2.
    """
    ours, theirs = ideal_parties().material(REFERENCE, 800)
    assert kept_bytes(ours.pads) == 100 * (28 + 8 + 14 + 7 + 35 + 2) + 800 * (2 * 4 + 4 + 2) == 800 * 25.75
    assert kept_bytes(theirs.pads) == 100 * (17 + 7 + 1 + 7 + 35 + 1) + 800 * (4 + 2 * 4 + 2 * 2) == 800 * 24.5


@pytest.mark.parametrize("widths", [REFERENCE, Widths(10, 2, 20), Widths(4, 0, 4), Widths(3, 0, 9)])
def test_each_step_takes_what_is_due(widths: Widths, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same transfers of an instance, in the same order, at both; all together those of the cost."""
    monkeypatch.setattr(material, "PART", 16)
    ends = counted()
    ours, theirs = ModelOwnerMaking(widths, 37, *ends[:2]), DataOwnerMaking(widths, 37, *ends[2:])
    for part in (16, 16, 5):
        assert ours.due == theirs.due == relu_cost(part, widths).transfers
        before = [sum(end.sizes) for end in ends]
        ours.step()
        theirs.step()
        taken = [sum(end.sizes) - one for end, one in zip(ends, before, strict=True)]
        cost = relu_cost(part, widths).transfers
        assert taken == [cost.model_owner, cost.data_owner, cost.data_owner, cost.model_owner]
    assert ours.due == theirs.due == NOTHING == Transfers(0, 0)
    model_sending, model_receiving, data_sending, data_receiving = (end.sizes for end in ends)
    assert (model_sending, model_receiving) == (data_receiving, data_sending)


@pytest.mark.parametrize("count", [1, 16, 17, 37, 160])
@pytest.mark.parametrize("widths", [REFERENCE, Widths(10, 2, 20), Widths(3, 1, 3)])
def test_parts_join_to_a_batch(widths: Widths, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material, "PART", 16)
    c, v = random_shares(widths, count, 1)
    played = play_relu(widths, c, v, ideal_parties())
    assert summed(widths, played.shares) == expected_relu(widths, c, v)


def test_work_has_bounded_memory() -> None:
    """1.8 MB of transfers at once, whatever the batch, and less than 10 MB beside what is kept."""
    ends, count = counted(), 1 << 17
    tracemalloc.start()
    try:
        ours = material.model_owner_material(REFERENCE, count, *ends[:2])
        theirs = material.data_owner_material(REFERENCE, count, *ends[2:])
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ours.count == theirs.count == count
    assert peak - kept < 10e6
    assert max(size for end in ends for size in end.sizes) == 14 * material.PART


def test_material_is_handed_over_once_and_whole() -> None:
    parties = ideal_parties()
    making = ModelOwnerMaking(REFERENCE, 9, parties.model_sending, parties.model_receiving)
    with pytest.raises(ValueError, match="made for 0 of 9 values"):
        making.finish()
    making.step()
    with pytest.raises(ValueError, match="no part is due"):
        making.step()
    making.finish()
    with pytest.raises(ValueError, match="handed over"):
        making.finish()


def test_a_step_that_failed_is_not_taken_again() -> None:
    """Half of its transfers are taken: the same step again would take others than the other party's."""

    class Broken(Counting):
        def take(self, count: int) -> Any:
            if self.sizes:
                raise ValueError("no transfers are left")
            return super().take(count)

    parties: Parties = ideal_parties()
    making = DataOwnerMaking(REFERENCE, 9, Broken(parties.data_sending), Broken(parties.data_receiving))
    with pytest.raises(ValueError, match="no transfers are left"):
        making.step()
    with pytest.raises(ValueError, match="failed; start again"):
        making.step()


@pytest.mark.parametrize("count", [0, -1])
def test_a_batch_of_nothing_is_refused(count: int) -> None:
    parties = ideal_parties()
    with pytest.raises(ValueError, match=f"one value or more, got {count}"):
        parties.material(REFERENCE, count)
