from __future__ import annotations

import pytest

from smule_crypten.mutual_learning.spot_check import detection_probability, draw_subset


def test_subset() -> None:
    """As many as asked for, never more than there are, and not the same ones each time."""
    assert int(draw_subset(100, 10).sum()) == 10
    assert draw_subset(4, 10).tolist() == [True] * 4
    assert draw_subset(0, 10).tolist() == []
    assert draw_subset(100, 0).sum() == 0
    assert len({tuple(draw_subset(100, 10).tolist()) for _ in range(5)}) > 1


@pytest.mark.parametrize(
    ("wrong", "checks", "expected"),
    [(0, 10, 0.0), (10, 0, 0.0), (1, 10, 0.1), (91, 10, 1.0), (100, 1, 1.0), (2, 2, 0.0398)],
)
def test_detection_probability(wrong: int, checks: int, expected: float) -> None:
    """Of 100 answers; the last one is 1 - 98 * 97 / (100 * 99), worked out by hand."""
    assert detection_probability(100, wrong, checks) == pytest.approx(expected, abs=1e-4)
