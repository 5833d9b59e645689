"""Integers of a few bits each as bytes: what crosses the wire, or comes from a stream, takes its width and no more.

Layout for n values of `width` bits: first the whole bytes of every value, little-endian, value after value; then what
is left of each, in planes of 4, 2 and 1 bits, each plane filled up to a whole byte.
"""

from __future__ import annotations

import sys

import torch

MAX_WIDTH = 64
_ELEMENT_BYTES = 8
_PLANES = (4, 2, 1)

if sys.byteorder != "little":
    raise ImportError("packing reads int64 as bytes, least significant first; this platform is big-endian")


def packed_bytes(count: int, width: int) -> int:
    """The bytes that `count` values of `width` bits take."""
    whole, planes = _layout(width)
    return count * whole + sum(_plane_bytes(count, plane) for plane in planes)


def signed(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Residues modulo 2^bits, whatever their higher bits, in two's complement."""
    unused = MAX_WIDTH - bits
    return (values << unused) >> unused


def pack(values: torch.Tensor, width: int) -> torch.Tensor:
    """The low `width` bits (1 to 64) of each int64 of values (any shape), as uint8 (packed_bytes,)."""
    count = values.numel()
    data = values.contiguous().view(torch.uint8).view(count, _ELEMENT_BYTES)
    whole, planes = _layout(width)
    parts = [data[:, :whole].reshape(-1)]
    if planes:
        rest = data[:, whole]
        shift = 0
        for plane in planes:
            parts.append(_pack_plane((rest >> shift) & ((1 << plane) - 1), plane))
            shift += plane
    return torch.cat(parts)


def unpack(data: torch.Tensor, count: int, width: int) -> torch.Tensor:
    """Undo `pack`: int64 (count,) between 0 and 2^width, at width 64 in two's complement."""
    whole, planes = _layout(width)
    values = torch.zeros(count, _ELEMENT_BYTES, dtype=torch.uint8, device=data.device)
    values[:, :whole] = data[: count * whole].view(count, whole)
    start, shift = count * whole, 0
    for plane in planes:
        stop = start + _plane_bytes(count, plane)
        values[:, whole] |= _unpack_plane(data[start:stop], plane)[:count] << shift
        start, shift = stop, shift + plane
    return values.view(torch.int64).view(count)


def _layout(width: int) -> tuple[int, list[int]]:
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(f"a width is 1 to {MAX_WIDTH} bits, got {width}")
    return width // 8, [plane for plane in _PLANES if width & plane]


def _plane_bytes(count: int, plane: int) -> int:
    return -(-count * plane // 8)


def _pack_plane(values: torch.Tensor, plane: int) -> torch.Tensor:
    """Join neighbours until a value fills a byte."""
    missing = -len(values) % (8 // plane)
    if missing:
        values = torch.cat([values, values.new_zeros(missing)])
    while plane < 8:
        values = values[0::2] | (values[1::2] << plane)
        plane *= 2
    return values


def _unpack_plane(data: torch.Tensor, plane: int) -> torch.Tensor:
    width = 8
    while width > plane:
        width //= 2
        data = torch.stack([data & ((1 << width) - 1), data >> width], dim=1).view(-1)
    return data
