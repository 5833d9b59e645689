"""Exact counters of what crosses the wire, by phase and by layer.

CrypTen's own counters stay at zero unless a flag is set, and mix sent with received. Here the channel reports every
message, so a byte cannot be missed: payload bytes by direction, and rounds. A round is one message that somebody
must wait for: two messages that cross count once, two tensors opened together count once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from smule_crypten.types import Cost

Phase = Literal["handshake", "set-up", "keys", "control", "correlations", "online", "public", "joint head"]


@dataclass
class Traffic:
    rounds: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    dealer_bytes: int = 0


class CostMeter:
    """Counts traffic under the phase and layer that are current when it happens.

    on_message is called after each message, in the thread that sent or received it.
    """

    def __init__(self) -> None:
        self.on_message: Callable[[], None] = lambda: None
        self._phase: Phase = "handshake"
        self._layer: str | None = None
        self.by_phase: dict[str, Traffic] = {}
        self.by_layer: dict[str, Traffic] = {}

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        before, self._phase = self._phase, name
        try:
            yield
        finally:
            self._phase = before

    @contextmanager
    def layer(self, name: str) -> Iterator[None]:
        before, self._layer = self._layer, name
        try:
            yield
        finally:
            self._layer = before

    def record(self, *, rounds: int = 0, bytes_sent: int = 0, bytes_received: int = 0, dealer_bytes: int = 0) -> None:
        """Count one message between the parties, or (dealer_bytes alone) one from the dealer."""
        counted = [self.by_phase.setdefault(self._phase, Traffic())]
        if self._layer is not None:
            counted.append(self.by_layer.setdefault(self._layer, Traffic()))
        for traffic in counted:
            traffic.rounds += rounds
            traffic.bytes_sent += bytes_sent
            traffic.bytes_received += bytes_received
            traffic.dealer_bytes += dealer_bytes
        self.on_message()

    def record_layer(self, layer: str, *, bytes_sent: int = 0, bytes_received: int = 0) -> None:
        """Say which layer bytes belong to that are recorded as a message without a layer."""
        traffic = self.by_layer.setdefault(layer, Traffic())
        traffic.bytes_sent += bytes_sent
        traffic.bytes_received += bytes_received

    def total(self, phase: Phase | None = None) -> Cost:
        """Everything so far, or what fell into one phase, without times."""
        counted = [traffic for name, traffic in self.by_phase.items() if phase in (None, name)]
        return sum((Cost(**vars(traffic)) for traffic in counted), start=Cost())

    def state_dict(self) -> dict[str, dict[str, dict[str, int]]]:
        tables = {"by_phase": self.by_phase, "by_layer": self.by_layer}
        return {name: {key: vars(traffic).copy() for key, traffic in table.items()} for name, table in tables.items()}

    def load_state_dict(self, state: dict[str, dict[str, dict[str, int]]]) -> None:
        """Go on counting from state: a run that was cut off counts what one without interruption does."""
        for table, saved in ((self.by_phase, state["by_phase"]), (self.by_layer, state["by_layer"])):
            table.clear()
            table.update({key: Traffic(**counts) for key, counts in saved.items()})
