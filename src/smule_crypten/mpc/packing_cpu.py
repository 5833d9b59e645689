"""Packing by NumPy: whole machine words, and no access that strides through bytes.

The whole bytes of values are read and written as fields of 1, 2, 4 or 8 bytes. A plane is joined and spread within
wider words: two neighbours of four bits are the low and the high byte of a 16-bit word before, and one byte afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smule_crypten.mpc.packing_layout import layout, plane_bytes

Words = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

_ELEMENT_BYTES = 8
_FIELDS = {1: (1,), 2: (2,), 3: (2, 1), 4: (4,), 5: (4, 1), 6: (4, 2), 7: (4, 2, 1), 8: (8,)}
"""Whole bytes as the sizes of machine words, lowest first."""
_RECORDS = {
    whole: np.dtype([(str(sum(sizes[:place])), f"<u{size}") for place, size in enumerate(sizes)])
    for whole, sizes in _FIELDS.items()
}
"""The same as records whose fields are named by their first byte."""


def packed(values: Words, width: int) -> Bytes:
    """The low `width` bits of integers (n,) of 64 or 32 bits, whatever their sign."""
    whole, planes = layout(width)
    values, count = values.view(f"u{values.itemsize}"), len(values)
    sizes = [count * whole, *(plane_bytes(count, plane) for plane in planes)]
    result = np.empty(sum(sizes), dtype=np.uint8)
    if whole:
        records = result[: sizes[0]].view(_RECORDS[whole])
        for name in records.dtype.names or ():
            records[name] = _shifted_down(values, 8 * int(name))
    if planes:
        rest, start = _shifted_down(values, 8 * whole).astype(np.uint8), sizes[0]
        for plane, size in zip(planes, sizes[1:], strict=True):
            result[start : start + size] = _joined(rest & np.uint8((1 << plane) - 1), plane)
            rest, start = rest >> np.uint8(plane), start + size
    return result


def lowest(values: Words, count: int) -> list[Bytes]:
    """Rows of the `count` lowest bits (at most 8) of integers (n,)."""
    octets = values.astype(np.uint8)
    # What is not zero packs as 1.
    return [np.packbits(octets & np.uint8(1 << bit), bitorder="little") for bit in range(count)]


def unpacked(data: Bytes, count: int, width: int, bits: int) -> Words:
    """Undo `packed`: unsigned integers (count,) of `bits` bits, 64 or 32."""
    whole, planes = layout(width)
    # As narrow as they fit: what is read and written takes the time.
    kind, start = np.dtype("u2" if width <= 16 else f"u{bits // 8}"), count * whole
    values = _whole_bytes(data[:start], whole, kind) if whole else None
    if planes:
        rest, shift = np.zeros(0, dtype=np.uint8), 0
        for plane in planes:
            stop = start + plane_bytes(count, plane)
            own = _spread(data[start:stop], plane)[:count]
            rest = rest | own << np.uint8(shift) if shift else own
            start, shift = stop, shift + plane
        high = rest.astype(kind)
        if values is None:
            values = high
        else:
            high <<= kind.type(8 * whole)
            values |= high
    assert values is not None
    return values.astype(f"u{bits // 8}", copy=False)


def _shifted_down(values: Words, bits: int) -> Words:
    return values >> values.dtype.type(bits) if bits else values


def _whole_bytes(data: Bytes, whole: int, kind: np.dtype[Any]) -> Words:
    """A new array of `kind`."""
    if whole in (1, 2, 4, 8):
        words: Words = data.view(f"<u{whole}").astype(kind)
        return words
    # Words that begin `whole` bytes after each other, less what they have of the next value.
    room = np.empty(len(data) + _ELEMENT_BYTES, dtype=np.uint8)
    room[: len(data)] = data
    size = min(kind.itemsize, _ELEMENT_BYTES)
    overlapping = np.lib.stride_tricks.as_strided(room[:size].view(kind), (len(data) // whole,), (whole,))
    words = overlapping.astype(kind)
    words &= kind.type((1 << 8 * whole) - 1)
    return words


def _joined(values: Bytes, plane: int) -> Bytes:
    """Values of `plane` bits, one a byte, as a plane."""
    if plane == 1:
        return np.packbits(values, bitorder="little")
    missing = -len(values) % (8 // plane)
    if missing:
        values = np.concatenate([values, np.zeros(missing, dtype=np.uint8)])
    if plane == 4:
        pairs = values.view(np.uint16)
        return (pairs | pairs >> np.uint16(4)).astype(np.uint8)
    fours = values.view(np.uint32)
    fours = (fours | fours >> np.uint32(6)) & np.uint32(0x000F000F)
    return (fours | fours >> np.uint32(12)).astype(np.uint8)


def _spread(data: Bytes, plane: int) -> Bytes:
    """Undo `_joined`, with what fills up the last byte."""
    if plane == 1:
        return np.unpackbits(data, bitorder="little")
    if plane == 4:
        pairs = data.astype(np.uint16)
        return ((pairs | pairs << np.uint16(4)) & np.uint16(0x0F0F)).view(np.uint8)
    fours = data.astype(np.uint32)
    fours = (fours | fours << np.uint32(12)) & np.uint32(0x000F000F)
    return ((fours | fours << np.uint32(6)) & np.uint32(0x03030303)).view(np.uint8)
