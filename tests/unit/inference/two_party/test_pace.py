"""Training is slowed by a tenth at most, whatever a single step of the other work takes."""

from __future__ import annotations

import pytest

from smule_crypten.two_party.pace import SHARE, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("training_step", [0.003, 0.2, 5.0])
@pytest.mark.parametrize("work_step", [0.0001, 0.05])
def test_no_more_than_a_tenth(training_step: float, work_step: float) -> None:
    """Of the time of training, and one step of work at most beyond that; and hardly less where there is enough to
    do."""
    clock, worked, trained = Clock(), 0.0, 0.0
    pace = Pace(clock)

    def work(seconds: float) -> None:
        nonlocal worked
        until = clock.now + seconds
        while clock.now < until:
            clock.now += work_step
            worked += work_step

    for _ in range(400):
        clock.now += training_step
        trained += training_step
        pace.spend(work)
        assert worked <= SHARE * trained + work_step + 1e-6
    assert worked >= SHARE * trained - work_step - 1e-6


def test_what_is_not_used_is_not_kept() -> None:
    """After an hour without anything to do, the next step of training is not followed by minutes of work."""
    clock, granted = Clock(), list[float]()
    pace = Pace(clock)
    clock.now += 3600
    pace.spend(granted.append)
    clock.now += 1
    pace.spend(granted.append)
    assert granted == pytest.approx([360, 0.1])


def test_work_that_took_too_long_is_paid_off_first() -> None:
    clock, granted = Clock(), list[float]()
    pace = Pace(clock)

    def work(seconds: float) -> None:
        granted.append(seconds)
        clock.now += 0.055

    clock.now += 0.1
    pace.spend(work)
    for _ in range(5):
        clock.now += 0.1
        pace.spend(work)
    assert granted == pytest.approx([0.01, 0.005])
