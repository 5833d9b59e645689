"""The layout of packing.py, in numbers."""

from __future__ import annotations

from functools import cache

MAX_WIDTH = 64
_PLANES = (4, 2, 1)


@cache
def layout(width: int) -> tuple[int, tuple[int, ...]]:
    """Whole bytes of a value of `width` bits, and the planes that hold the rest of it.

    Raises:
        ValueError: no value has that width.
    """
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(f"a width is 1 to {MAX_WIDTH} bits, got {width}")
    return width // 8, tuple(plane for plane in _PLANES if width & plane)


def plane_bytes(count: int, plane: int) -> int:
    """Of a plane of `plane` bits per value."""
    return -(-count * plane // 8)
