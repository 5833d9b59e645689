"""Where D's share is known only online: a fresh share in its place that was known before.

After a sum of two branches, and from the second level of a maximum on, D's share contains what a selection gave it.
Both hold Z modulo 2^n, n = w + t.

Before the images:
1. D draws r, uniform modulo 2^n, and prepares the ReLU for the share -r (relu.py).
Online:
2. D -> M, n bits per value: its share + r. M adds it to its own, and rounds the sum; D's share is -r.

Half a round, and nothing where D's message goes along with another one of D. To M, what D sends is uniform by r. M's
share now has bits below a unit, which it rounds away as those of a product (lattice/truncation.py). No failure.
"""

from __future__ import annotations

import numpy as np

from smule_crypten.comparison.widths import Widths, modulo, require_as_many
from smule_crypten.oblivious.blocks import Bytes, RandomBytes
from smule_crypten.oblivious.cots import Fields
from smule_crypten.oblivious.wire import pack_fields, packed_bytes, unpack_fields


def remask_bytes(widths: Widths, count: int) -> int:
    return packed_bytes(count, widths.fine)


class FreshShare:
    """D's side: `share` modulo 2^(w + t) (n,) before the images, and what makes it right online."""

    def __init__(self, widths: Widths, count: int, random_bytes: RandomBytes) -> None:
        self._widths = widths
        data = np.frombuffer(random_bytes(remask_bytes(widths, count)), dtype=np.uint8)
        self._mask: Fields | None = unpack_fields(data, count, widths.fine)
        self.share = modulo(np.uint64(0) - self._mask, widths.fine)

    def message(self, share: Fields) -> Bytes:
        """Step 2, for D's share as it turned out.

        Raises:
            ValueError: the mask has served, or is of another number of values.
        """
        require_as_many(share, len(self.share))
        if self._mask is None:
            raise ValueError("a mask serves once: two messages under it would differ as the shares do")
        mask, self._mask = self._mask, None
        return pack_fields(modulo(share + mask, self._widths.fine), self._widths.fine)
