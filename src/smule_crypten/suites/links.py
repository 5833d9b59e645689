"""From bytes and rounds to seconds on a link.

A message takes half a round trip to arrive, and two that cross do so at the same time, so a round costs half a round
trip; the bytes of the busier direction occupy the line, since both directions carry at once. The benchmark
emulated_link.py holds this to exchanges over an emulated link.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LinkModel:
    """mbit: million bits per second, each way; rtt_ms: milliseconds there and back."""

    name: str
    mbit: float
    rtt_ms: float

    def seconds(self, bytes_one_way: float, rounds: float) -> float:
        """What the link alone takes; bytes_one_way are those of the busier direction."""
        return bytes_one_way * 8 / (self.mbit * 1e6) + rounds * self.rtt_ms / 2000


LINKS = (
    LinkModel(name="LAN", mbit=1000.0, rtt_ms=0.5),
    LinkModel(name="100 Mbit/s, 40 ms", mbit=100.0, rtt_ms=40.0),
    LinkModel(name="20 Mbit/s, 100 ms", mbit=20.0, rtt_ms=100.0),
)
ON_LINKS = [(f"{position}_seconds", link.name) for position, link in enumerate(LINKS)]
"""Columns of a table for what on_links tells."""


def on_links(one_way_bytes: float, rounds: float, local_seconds: float = 0.0) -> dict[str, float]:
    """Time with each link, what this machine takes with it."""
    return {
        key: local_seconds + link.seconds(one_way_bytes, rounds) for (key, _), link in zip(ON_LINKS, LINKS, strict=True)
    }
