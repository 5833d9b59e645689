"""Products of polynomials (smule_crypten/lattice/ring.py).

`python tests/vectors/make_lattice_product.py` writes lattice_product.json. For each size in use, a and s are cut from
SHA-256 of a text and a counter (schoolbook.py); their product modulo X^N + 1 and 2^modulus_bits, by the definition, is
kept as SHA-256 of its coefficients (unsigned, 8 bytes each, little-endian), with the first four of them. All take some
seconds.
"""

from __future__ import annotations

from schoolbook import digest, factors, negacyclic
from vector_files import Vectors, save

CASES = [(16, 44), (256, 51), (2048, 44), (2048, 51), (2048, 52), (4096, 64)]


def case(degree: int, bits: int) -> Vectors:
    product = negacyclic(*factors(degree, bits), bits)
    return {"degree": degree, "modulus_bits": bits, "sha256": digest(product), "first": product[:4]}


def vectors(most: int = CASES[-1][0]) -> Vectors:
    """most: degree of the largest product."""
    return {
        "made_by": "python tests/vectors/make_lattice_product.py",
        "cases": [case(degree, bits) for degree, bits in CASES if degree <= most],
    }


if __name__ == "__main__":
    save("lattice_product", vectors())
