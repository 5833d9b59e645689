"""What the benchmark of the online phase makes of its measurements."""

from __future__ import annotations

import time
from types import ModuleType, SimpleNamespace

import pytest


def turn(online_floor: ModuleType, exchange: float, preparation: float, tls: float, products: float) -> object:
    """By processor a tenth of what the clock says."""
    pairs = [online_floor.Seconds(clock, clock / 10) for clock in (exchange, preparation, tls, products)]
    return online_floor.Turn(*pairs)


def test_floor(online_floor: ModuleType) -> None:
    """Of each turn the slower party, of all turns the least, each figure by itself; without the preparation."""
    first = [turn(online_floor, 9.0, 1.0, 1.0, 1.5), turn(online_floor, 7.0, 2.0, 2.0, 1.0)]
    second = [turn(online_floor, 5.0, 1.0, 1.5, 1.0), turn(online_floor, 9.0, 3.0, 1.0, 1.25)]
    found = online_floor.summarize([online_floor.Measured(30, 12, 7, turns) for turns in (first, second)])
    assert (found["bytes"], found["rounds"]) == (42, 7)
    clock = found["clock"]
    assert (clock["online"], clock["tls"], clock["products"], clock["floor"]) == (6.0, 1.5, 1.25, 2.75)
    assert clock["ratio"] == pytest.approx(6.0 / 2.75)
    assert found["processor"]["online"] == pytest.approx(0.6)


def test_products_are_made_again(online_floor: ModuleType) -> None:
    """What is recorded is called with the same arguments, and only while it is recorded."""
    seen: list[tuple[int, int]] = []
    owner = SimpleNamespace(multiply=lambda one, other=1: seen.append((one, other)))
    with online_floor.recorded(owner, "multiply") as calls:
        owner.multiply(2, other=3)
        owner.multiply(4)
    owner.multiply(5)
    online_floor.make_again(calls, owner.multiply)
    assert seen == [(2, 3), (4, 1), (5, 1), (2, 3), (4, 1)]


def test_preparation_by_processor(online_floor: ModuleType) -> None:
    """Only what lies between the two stamps of a pair counts."""
    with online_floor.processor_time_of_preparation() as found:
        clock = online_floor.lean_data_owner.time.perf_counter
        sum(range(300_000))
        before = time.process_time()
        clock()
        clock()
        after = time.process_time()
    assert 0 <= found[0] <= after - before
    assert online_floor.lean_data_owner.time is time
