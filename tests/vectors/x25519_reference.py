"""X25519 in Python's integers, from RFC 7748: the ladder, clamped scalars, and which abscissas are of the curve."""

from __future__ import annotations

PRIME = 2**255 - 19
BASE = (9).to_bytes(32, "little")


def ladder(scalar: int, u: int) -> int:
    """The abscissa of a multiple; 0 for the point at infinity."""
    x2, z2, x3, z3 = 1, 0, u, 1
    for place in reversed(range(255)):
        bit = scalar >> place & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        total, less, crossed, other = x2 + z2, x2 - z2, (x3 - z3) * (x2 + z2), (x3 + z3) * (x2 - z2)
        square, square_less = total * total % PRIME, less * less % PRIME
        e = square - square_less
        x3, z3 = (crossed + other) ** 2 % PRIME, u * (crossed - other) ** 2 % PRIME
        x2, z2 = square * square_less % PRIME, e * (square + 121665 * e) % PRIME
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return x2 * pow(z2, PRIME - 2, PRIME) % PRIME


def x25519(scalar: bytes, point: bytes) -> bytes:
    clamped = int.from_bytes(scalar, "little") & ((1 << 255) - 8) | 1 << 254
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    return ladder(clamped, u % PRIME).to_bytes(32, "little")


def on_curve(u: int) -> bool:
    """Whether u^3 + 486662 u^2 + u is a square that is not zero."""
    return pow(u**3 + 486662 * u**2 + u, (PRIME - 1) // 2, PRIME) == 1
