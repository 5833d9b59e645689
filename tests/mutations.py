"""Bytes that were changed at random."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

BOUNDED = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))


def changed(originals: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of them with some bytes replaced, a piece cut out or repeated, and its end cut off."""
    byte = st.tuples(st.integers(0, 2**16), st.integers(0, 255))
    return st.builds(
        mutated,
        st.sampled_from(originals),
        st.lists(byte, max_size=6),
        st.tuples(st.integers(0, 2**16), st.integers(0, 40), st.integers(0, 2)),
        st.one_of(st.none(), st.integers(0, 2**16)),
    )


def mutated(content: bytes, bytes_set: list[tuple[int, int]], piece: tuple[int, int, int], end: int | None) -> bytes:
    buffer = bytearray(content)
    for position, value in bytes_set:
        buffer[position % len(buffer)] = value
    start, length, copies = piece[0] % len(buffer), piece[1], piece[2]
    buffer[start : start + length] = bytes(buffer[start : start + length]) * copies
    return bytes(buffer if end is None else buffer[: end % (len(buffer) + 1)])
