"""Names from elsewhere: of classes, as user code and folders give them, and of files, as they may be printed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smule_crypten.errors import DataError

_LONGEST_SHOWN = 120


def class_names_of(value: Any, where: str) -> tuple[str, ...] | None:
    """What user code says of its classes, in order of their numbers; None where it says nothing.

    value: None; a number of classes; names or numbers in a list, tuple or array; or a mapping between names and the
    numbers 0, 1, 2 and so on, in either direction.

    Raises:
        DataError: anything else, whose order or meaning would be a guess; or a name occurs twice.
    """
    if value is None:
        return None
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        names: list[Any] = list(range(int(value))) if 0 < value <= 1_000_000 else []
    elif isinstance(value, Mapping):
        names = _by_number(value)
    elif isinstance(value, np.ndarray) and value.ndim == 1:
        names = value.tolist()
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        names = list(value)
    else:
        names = []
    texts = tuple(str(name) for name in names if isinstance(name, (str, int, np.integer)) and str(name))
    if not texts or len(texts) != len(names) or len(set(texts)) != len(texts):
        raise DataError(
            f"{where} is {shown(repr(value))}; give a list of different names in order of the class numbers, or None"
        )
    return texts


def _by_number(value: Mapping[Any, Any]) -> list[Any]:
    """The names of {name: number} or {number: name}; none if the numbers are not 0, 1, 2 and so on."""
    for pairs in ({key: name for name, key in value.items() if isinstance(key, int)}, dict(value)):
        if sorted(map(str, pairs)) == sorted(map(str, range(len(value)))) and len(pairs) == len(value):
            return [pairs[number] for number in range(len(value)) if number in pairs]
    return []


def composed(name: str) -> str:
    """`name` of a folder as a class name: in Unicode's composed form, since systems spell umlauts in two ways."""
    return unicodedata.normalize("NFC", printable(name))


def printable(name: str) -> str:
    """A file's name as text that can be printed, and written as UTF-8, on one line."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shown(text: str) -> str:
    """`text` on one line, of a bounded length."""
    line = printable(text)
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}..."


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    text = ", ".join(shown(name) for name in names[:most]) or "(none)"
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
