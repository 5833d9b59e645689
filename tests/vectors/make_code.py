"""The code of the LPN assumption (smule_crypten/oblivious/code.py).

`python tests/vectors/make_code.py` writes code.json.

The ten places of single rows, each from its number alone by oblivious_reference.py, for the sizes in use.
"""

from __future__ import annotations

import oblivious_reference as reference
from vector_files import Vectors, save

KEY = bytes(range(32, 48))
SIZES = (1, 6, 16, 18, 19, 21)
ROWS = (0, 1, 2, 8191, 8192, 15_564_799)


def vectors() -> Vectors:
    return {
        "made_by": "python tests/vectors/make_code.py",
        "rows": "log2 of the inputs, number of the row, places",
        "key": KEY.hex(),
        "places": [[size, row, reference.places(KEY, size, row)] for size in SIZES for row in ROWS],
    }


if __name__ == "__main__":
    save("code", vectors())
