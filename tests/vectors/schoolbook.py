"""Polynomials modulo X^N + 1 by the definition, in Python's own integers."""

from __future__ import annotations

import hashlib


def numbers(text: str, count: int) -> list[int]:
    """Integers of 64 bits."""
    digests = (hashlib.sha256(f"{text}|{i}".encode()).digest()[:8] for i in range(count))
    return [int.from_bytes(digest, "little") for digest in digests]


def factors(degree: int, modulus_bits: int) -> tuple[list[int], list[int]]:
    """Residues, and a ternary polynomial."""
    a = [number % (1 << modulus_bits) for number in numbers(f"a {degree} {modulus_bits}", degree)]
    s = [number % 3 - 1 for number in numbers(f"s {degree} {modulus_bits}", degree)]
    return a, s


def negacyclic(a: list[int], s: list[int], modulus_bits: int) -> list[int]:
    degree = len(a)
    product = [0] * (2 * degree)
    for i, a_i in enumerate(a):
        for j, s_j in enumerate(s):
            product[i + j] += a_i * s_j
    return [(product[i] - product[i + degree]) % (1 << modulus_bits) for i in range(degree)]


def digest(coefficients: list[int]) -> str:
    return hashlib.sha256(b"".join(c.to_bytes(8, "little") for c in coefficients)).hexdigest()
