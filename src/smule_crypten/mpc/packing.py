"""Integers of a few bits each as bytes: what crosses the wire, or comes from a stream, takes its width and no more.

Layout for n values of `width` bits: first the whole bytes of every value, little-endian, value after value; then what
is left of each, in planes of 4, 2 and 1 bits, each plane filled up to a whole byte.

On the CPU NumPy does it (packing_cpu.py), in some ten times less time; elsewhere PyTorch, where the values are.
"""

from __future__ import annotations

import sys

import torch

from smule_crypten.mpc import packing_cpu
from smule_crypten.mpc.packing_layout import MAX_WIDTH, layout, plane_bytes

__all__ = ["MAX_WIDTH", "by_numpy", "pack", "pack_lowest", "packed_bytes", "signed", "unpack"]
_ELEMENT_BYTES = 8

if sys.byteorder != "little":
    raise ImportError("packing reads int64 as bytes, least significant first; this platform is big-endian")


def packed_bytes(count: int, width: int) -> int:
    """The bytes that `count` values of `width` bits take."""
    whole, planes = layout(width)
    return count * whole + sum(plane_bytes(count, plane) for plane in planes)


def signed(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Residues modulo 2^bits, whatever their higher bits, in two's complement."""
    unused = MAX_WIDTH - bits
    return (values << unused) >> unused


def by_numpy(values: torch.Tensor) -> bool:
    """Whether NumPy computes with them."""
    return values.device.type == "cpu"


def pack(values: torch.Tensor, width: int) -> torch.Tensor:
    """The low `width` bits of each of values (any shape), as uint8 (packed_bytes,).

    Args:
        values: int64, or int32 for a width of 1 to 32.
    """
    if by_numpy(values):
        return torch.from_numpy(packing_cpu.packed(values.contiguous().view(-1).numpy(), width))
    return pack_anywhere(values, width)


def unpack(data: torch.Tensor, count: int, width: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    """Undo `pack`: (count,) between 0 and 2^width, at the width of the type in two's complement.

    Args:
        dtype: int64, or int32 for a width of 1 to 32.
    """
    if by_numpy(data):
        values = packing_cpu.unpacked(data.numpy(), count, width, 8 * dtype.itemsize)
        return torch.from_numpy(values).view(dtype)
    return unpack_anywhere(data, count, width).to(dtype)


def pack_lowest(values: torch.Tensor, count: int) -> list[torch.Tensor]:
    """The lowest bits of values (n,), the next ones, and so on, `count` rows, at most 8: each as by pack(., 1)."""
    if by_numpy(values):
        return [torch.from_numpy(row) for row in packing_cpu.lowest(values.numpy(), count)]
    return [pack_anywhere(values >> bit, 1) for bit in range(count)]


def pack_anywhere(values: torch.Tensor, width: int) -> torch.Tensor:
    """`pack` by PyTorch alone, on whatever device the values are."""
    count = values.numel()
    # One value, or none, may lie in any stride and still count as contiguous; seen as bytes it may not.
    data = values.long().contiguous().as_strided((count,), (1,)).view(torch.uint8).view(count, _ELEMENT_BYTES)
    whole, planes = layout(width)
    parts = [data[:, :whole].reshape(-1)]
    if planes:
        rest = data[:, whole]
        shift = 0
        for plane in planes:
            parts.append(_pack_plane((rest >> shift) & ((1 << plane) - 1), plane))
            shift += plane
    return torch.cat(parts)


def unpack_anywhere(data: torch.Tensor, count: int, width: int) -> torch.Tensor:
    """`unpack` by PyTorch alone, as int64."""
    whole, planes = layout(width)
    values = torch.zeros(count, _ELEMENT_BYTES, dtype=torch.uint8, device=data.device)
    values[:, :whole] = data[: count * whole].view(count, whole)
    start, shift = count * whole, 0
    for plane in planes:
        stop = start + plane_bytes(count, plane)
        values[:, whole] |= _unpack_plane(data[start:stop], plane)[:count] << shift
        start, shift = stop, shift + plane
    return values.view(torch.int64).view(count)


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
