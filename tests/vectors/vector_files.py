"""What all scripts of known answers share: bytes that anyone can draw again, and the files.

Nothing here, nor in a `make_*.py` beside it, imports smule_crypten, NumPy or torch: known answers come of Python's
integers and bytes, SHA-256, and AES of the package `cryptography`. `python tests/vectors/make_tree.py` writes
tests/vectors/tree.json, and so on; `test_vectors_made_again.py` says whether the files are what the scripts make.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
Vectors = dict[str, Any]


def drawn(text: str, count: int) -> bytes:
    """The first bytes of SHA-256("TEXT|0"), SHA-256("TEXT|1"), and so on: what a vector calls drawn from a text."""
    digests = (hashlib.sha256(f"{text}|{number}".encode()).digest() for number in range(-(-count // 32)))
    return b"".join(digests)[:count]


def reader(text: str) -> Callable[[int], bytes]:
    """Gives what is drawn from a text, each byte once: as a party's source of randomness."""
    position = 0

    def read(count: int) -> bytes:
        nonlocal position
        position += count
        return drawn(text, position)[position - count :]

    return read


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.json"


def load(name: str) -> Any:
    return json.loads(path_of(name).read_text(encoding="utf-8"))


def text_of(vectors: Vectors) -> str:
    return json.dumps(vectors, indent=1) + "\n"


def save(name: str, vectors: Vectors) -> None:
    path_of(name).write_text(text_of(vectors), encoding="utf-8")


def hexadecimal(blocks: Iterable[int]) -> list[str]:
    """Blocks of 128 bits, 32 digits each."""
    return [f"{block:032x}" for block in blocks]
