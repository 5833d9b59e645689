"""Polynomials modulo X^N + 1 by the definition, in Python's own integers: what the fast product is held against.

`python tests/unit/lattice/schoolbook.py` writes tests/vectors/lattice_product.json.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

VECTORS = Path(__file__).parents[2] / "vectors" / "lattice_product.json"
HOW = (
    "Written by tests/unit/lattice/schoolbook.py: for each case, a and s are cut from SHA-256 of a text and a counter; "
    "their product modulo X^N + 1 and 2^modulus_bits, by the definition in Python's own integers, is kept as SHA-256 "
    "of its coefficients (unsigned, 8 bytes each, little-endian), with the first four of them."
)
CASES = [(16, 44), (256, 51), (2048, 44), (2048, 51), (2048, 52), (4096, 64)]


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


def main() -> None:
    cases = []
    for degree, bits in CASES:
        product = negacyclic(*factors(degree, bits), bits)
        cases.append({"degree": degree, "modulus_bits": bits, "sha256": digest(product), "first": product[:4]})
    VECTORS.write_text(json.dumps({"how": HOW, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
