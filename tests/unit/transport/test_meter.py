from __future__ import annotations

import pytest

from smule_crypten.transport.meter import CostMeter, Traffic
from smule_crypten.types import Cost


def test_traffic_is_counted_where_it_happens() -> None:
    """Each message counts under its phase, and within a layer under that too; phases add up to the total."""
    meter = CostMeter()
    meter.record(rounds=1, bytes_sent=3, bytes_received=4)
    with meter.phase("online"):
        meter.record(rounds=1, bytes_sent=10)
        with meter.layer("conv1"):
            meter.record(rounds=2, bytes_sent=100, bytes_received=200)
            meter.record(rounds=1, bytes_received=50)
    assert meter.by_phase == {"handshake": Traffic(1, 3, 4), "online": Traffic(4, 110, 250)}
    assert meter.by_layer == {"conv1": Traffic(3, 100, 250)}
    assert meter.total() == Cost(rounds=5, bytes_sent=113, bytes_received=254)


def fail_inside(meter: CostMeter) -> None:
    with meter.phase("keys"), meter.layer("inner"):
        meter.record(rounds=1, bytes_sent=1)
        raise RuntimeError


def test_nesting_ends_where_it_began() -> None:
    """After an inner phase or layer the outer one counts on, also when the inner one failed."""
    meter = CostMeter()
    with meter.phase("online"), meter.layer("outer"):
        with pytest.raises(RuntimeError):
            fail_inside(meter)
        meter.record(rounds=1, bytes_sent=2)
    meter.record(rounds=1, bytes_sent=4)
    assert {name: traffic.bytes_sent for name, traffic in meter.by_phase.items()} == {
        "keys": 1,
        "online": 2,
        "handshake": 4,
    }
    assert {name: traffic.bytes_sent for name, traffic in meter.by_layer.items()} == {"inner": 1, "outer": 2}


def test_nothing_recorded() -> None:
    """A fresh meter costs nothing, and a phase without messages leaves no entry."""
    meter = CostMeter()
    with meter.phase("online"), meter.layer("relu"):
        pass
    assert meter.total() == Cost()
    assert meter.by_phase == {}
    assert meter.by_layer == {}


def test_total_is_a_snapshot() -> None:
    """The cost of an exchange is the difference of two totals, so an earlier one must not grow."""
    meter = CostMeter()
    before = meter.total()
    meter.record(rounds=1, bytes_sent=8)
    assert before == Cost()


def test_going_on_from_a_state() -> None:
    """A run that was cut off counts what one without interruption does, not its second handshake as well."""
    first = CostMeter()
    first.record(rounds=1, bytes_sent=3)
    with first.phase("online"), first.layer("conv1"):
        first.record(rounds=2, bytes_sent=100, dealer_bytes=7)
    state = first.state_dict()
    second = CostMeter()
    second.record(rounds=1, bytes_sent=3)
    second.load_state_dict(state)
    assert (second.by_phase, second.by_layer) == (first.by_phase, first.by_layer)
    second.record(bytes_sent=5)
    assert second.total().bytes_sent == 108
    assert first.total().bytes_sent == 103
