from __future__ import annotations

import pytest

from smule_crypten.mutual_learning.adaptive import Wish, was_worth_it

MB = 10**6


@pytest.mark.parametrize(
    ("gain", "error", "num_bytes", "expected"),
    [
        (0.02, 0.0, 10 * MB, True),  # two points for 10 MB, 0.2 a megabyte
        (0.02, 0.0, 11 * MB, False),
        (-0.01, 0.0, 1, False),
        (-0.01, 0.02, 5 * MB, True),  # may have been a gain of one point
        (-0.01, 0.02, 6 * MB, False),
        (0.0, 0.0, 0, True),
    ],
)
def test_gain_for_bytes(gain: float, error: float, num_bytes: int, expected: bool) -> None:
    """Points of accuracy, with one standard error in favour, against 0.2 points a megabyte."""
    assert was_worth_it(gain, error, num_bytes, min_gain_per_mb=0.2) is expected


def test_the_first_exchange_is_wanted_and_each_is_judged_once() -> None:
    """By the gain until the next one may take place: what training does later is not to its credit."""
    wish = Wish(min_gain_per_mb=1.0)
    assert wish.wants_another(0.1, 0.0)
    wish.exchanged(10 * MB)
    assert wish.wants_another(0.3, 0.0)
    wish.exchanged(10 * MB)
    assert not wish.wants_another(0.35, 0.0)
    assert not wish.wants_another(0.9, 0.0)


def test_an_exchange_that_the_peer_wanted_is_judged_anew() -> None:
    """From the accuracy just before it."""
    wish = Wish(min_gain_per_mb=1.0)
    wish.wants_another(0.1, 0.0)
    wish.exchanged(10 * MB)
    assert not wish.wants_another(0.1, 0.0)
    assert not wish.wants_another(0.5, 0.0)
    wish.exchanged(10 * MB)
    other = Wish(min_gain_per_mb=1.0)
    other.load_state_dict(wish.state_dict())
    for found in (wish, other):
        assert found.wants_another(0.61, 0.0)
