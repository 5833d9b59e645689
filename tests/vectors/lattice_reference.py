"""The linear layers by ring-LWE once more, slowly: lists of Python's integers, products by the definition.

Written from the docstrings of smule_crypten/lattice/, mpc/packing.py and mpc/streams.py. Residues are integers from 0
to q - 1, polynomials are lists of them, lowest coefficient first.
"""

from __future__ import annotations

from dataclasses import dataclass

import oblivious_reference as reference
from schoolbook import negacyclic

Polynomial = list[int]
COINS, TERNARY_BITS = 42, 61


def packed_bytes(count: int, width: int) -> int:
    return count * (width // 8) + sum(-(-count * plane // 8) for plane in (4, 2, 1) if width & plane)


def pack(values: list[int], width: int) -> bytes:
    """Whole bytes of every value, little-endian, then planes of 4, 2 and 1 bits, the first value lowest in a byte."""
    data = b"".join((value % (1 << 8 * (width // 8))).to_bytes(width // 8, "little") for value in values)
    shift = 8 * (width // 8)
    for plane in (4, 2, 1):
        if width & plane:
            joined = sum((value >> shift) % (1 << plane) << place * plane for place, value in enumerate(values))
            data += joined.to_bytes(-(-len(values) * plane // 8), "little")
            shift += plane
    return data


def unpack(data: bytes, count: int, width: int) -> list[int]:
    whole = width // 8
    values = [int.from_bytes(data[whole * i : whole * (i + 1)], "little") for i in range(count)]
    start, shift = count * whole, 8 * whole
    for plane in (4, 2, 1):
        if width & plane:
            stop = start + -(-count * plane // 8)
            joined = int.from_bytes(data[start:stop], "little")
            values = [v | (joined >> plane * i) % (1 << plane) << shift for i, v in enumerate(values)]
            start, shift = stop, shift + plane
    return values


class Stream:
    """Bytes of AES-256-CTR, each once."""

    def __init__(self, key: bytes) -> None:
        self._key, self._position = key, 0

    def read(self, count: int) -> bytes:
        self._position += count
        return reference.counter_mode(self._key, self._position)[self._position - count :]

    def packed(self, count: int, width: int) -> list[int]:
        return unpack(self.read(packed_bytes(count, width)), count, width)

    def uniform(self, count: int, degree: int, bits: int) -> list[Polynomial]:
        return cut(self.packed(count * degree, bits), degree)

    def ternary(self, count: int, degree: int) -> list[Polynomial]:
        """Of each 8 bytes, little-endian, the low 61 bits: 0, 1 or 2 by the third that they lie in, less 1."""
        data = self.read(8 * count * degree)
        numbers = [
            int.from_bytes(data[8 * i : 8 * i + 8], "little") % (1 << TERNARY_BITS) for i in range(count * degree)
        ]
        return cut([(3 * number >> TERNARY_BITS) - 1 for number in numbers], degree)

    def errors(self, count: int) -> list[int]:
        return [coins.bit_count() - COINS // 2 for coins in self.packed(count, COINS)]


def cut(values: list[int], length: int) -> list[list[int]]:
    return [values[start : start + length] for start in range(0, len(values), length)]


def rounded(value: int, bits: int, kept: int) -> int:
    """The highest bits of a residue, to the nearest, halves up."""
    dropped = bits - kept
    return (value + (1 << dropped >> 1) >> dropped) % (1 << kept)


def add(one: Polynomial, other: Polynomial, bits: int) -> Polynomial:
    return [(a + b) % (1 << bits) for a, b in zip(one, other, strict=True)]


def back(polynomial: Polynomial, places: int) -> Polynomial:
    """Times X^-places."""
    return polynomial[places:] + [-value for value in polynomial[:places]]


@dataclass(frozen=True)
class Layer:
    """One hand-over with one product, of images or vectors that are not cut into tiles.

    size: rows and columns of an image on the grid; padding and kernel: square windows with stride 1, as many as there
    are pixels; of a vector's channel, a window that is all of it. value_bits, c1_bits, ring, fraction: as in plan.py.
    """

    channels: int
    outputs: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    padding: int
    windows: tuple[int, int]
    slots: int
    ring: int
    fraction: int
    value_bits: int
    c1_bits: int

    @property
    def row_pitch(self) -> int:
        """The padding right of a row is that left of the next one."""
        return self.size[1] + self.padding

    @property
    def piece_pitch(self) -> int:
        return (self.size[0] + self.padding) * self.row_pitch

    def per_polynomial(self, degree: int) -> int:
        reach = [windows + kernel - 1 for windows, kernel in zip(self.windows, self.kernel, strict=True)]
        length = (reach[0] - 1) * self.row_pitch + reach[1]
        return 1 + (degree - length) // self.piece_pitch

    def polynomials(self, images: int, degree: int) -> int:
        return -(-images // self.per_polynomial(degree))

    def place(self, image: int, degree: int) -> tuple[int, int]:
        """The polynomial of an image, and the coefficient where it begins: the first cell of its first window."""
        per = self.per_polynomial(degree)
        return image // per, image % per * self.piece_pitch

    def first_cells(self, image: int, degree: int) -> list[tuple[int, int]]:
        """Polynomial and coefficient of the first cell of each window, row by row."""
        polynomial, start = self.place(image, degree)
        rows, columns = self.windows
        return [(polynomial, start + row * self.row_pitch + column) for row in range(rows) for column in range(columns)]

    def taps(self) -> list[int]:
        """Coefficients from a window's first cell to each of its taps."""
        return [row * self.row_pitch + column for row in range(self.kernel[0]) for column in range(self.kernel[1])]

    def pixels(self, images: int, degree: int) -> list[tuple[int, int]]:
        """Polynomial and coefficient of each pixel: image by image, row by row."""
        found = []
        for image in range(images):
            polynomial, start = self.place(image, degree)
            start += self.padding * (self.row_pitch + 1)
            rows, columns = self.size
            found += [
                (polynomial, start + row * self.row_pitch + column) for row in range(rows) for column in range(columns)
            ]
        return found

    def without_pixel(self, images: int, degree: int) -> list[tuple[int, int]]:
        """Further coefficients that a window takes, in order of their address."""
        taken = {
            (polynomial, first + tap)
            for image in range(images)
            for polynomial, first in self.first_cells(image, degree)
            for tap in self.taps()
        }
        return sorted(taken - set(self.pixels(images, degree)))


def correlated(layer: Layer, weight: list[list[list[int]]], public: list[Polynomial], bits: int) -> list[Polynomial]:
    """sum_c W_oc a_c for each output, where tap d of a kernel is X^-d. weight: (O, C, taps)."""
    found = []
    for by_channel in weight:
        total = [0] * len(public[0])
        for taps, polynomial in zip(by_channel, public, strict=True):
            for value, place in zip(taps, layer.taps(), strict=True):
                total = add(total, [value * one for one in back(polynomial, place)], bits)
        found.append(total)
    return found


def times(one: Polynomial, other: Polynomial, bits: int) -> Polynomial:
    return negacyclic(one, other, bits)
