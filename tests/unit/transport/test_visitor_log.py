from __future__ import annotations

import logging

import pytest

from smule_crypten.transport.visitor_log import VisitorLog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def visitors(clock: Clock, caplog: pytest.LogCaptureFixture) -> VisitorLog:
    caplog.set_level(logging.INFO)
    return VisitorLog(logging.getLogger("door"), clock)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_one_line_an_address_and_minute(visitors: VisitorLog, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A flood from one address costs one line a minute that says how many came; others are seen at once."""
    for second in range(150):
        clock.now = float(second)
        for _ in range(10):
            visitors.note(logging.WARNING, "mallory", f"turned away at {second}")
        if second == 30:
            visitors.note(logging.INFO, "bob", "came by")
    expected = ["turned away at 0", "came by", "turned away at 59 (the last of 599 more from mallory)"]
    assert lines(caplog) == [*expected, "turned away at 119 (the last of 600 more from mallory)"]
    visitors.flush()
    assert lines(caplog)[4:] == ["turned away at 149 (the last of 300 more from mallory)"]
    assert [record.levelno for record in caplog.records[:3]] == [logging.WARNING, logging.INFO, logging.WARNING]


def test_a_visitor_who_comes_now_and_then_is_logged_each_time(
    visitors: VisitorLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is kept back of what is rare."""
    for minute in range(3):
        clock.now = 61.0 * minute
        visitors.note(logging.INFO, "bob", f"visit {minute}")
    visitors.flush()
    assert lines(caplog) == ["visit 0", "visit 1", "visit 2"]


def test_many_addresses(visitors: VisitorLog, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever has a million addresses does not get a million lines, nor as much memory."""
    for number in range(10_000):
        visitors.note(logging.INFO, f"address {number}", "hello")
    assert len(lines(caplog)) == 257
    clock.now = 61.0
    visitors.note(logging.INFO, "bob", "came by")
    assert lines(caplog)[257:] == ["hello (the last of 9743 more from other addresses)", "came by"]
