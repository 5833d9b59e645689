"""The weights of a joint head revealed to both parties: for whom that is refused, and the noise that they bear.

W tells more than a network that was trained jointly: (G_a + lambda n I) W - H_a is the other party's gradient over all
its rows. So it is refused where rows are few, and each party opens its share under noise, REVEAL_NOISE on each weight.
That is 256 units of the last digit, so that what rounding tells of shares is far below it; on an output it is
REVEAL_NOISE times the length of a row. A party knows its own noise: what it learns bears that of the other one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from smule_crypten.errors import DataError
from smule_crypten.joint_head.integers import as_weights
from smule_crypten.joint_head.plan import VALUE_BITS
from smule_crypten.mpc.streams import Stream

REVEAL_NOISE = 2.0**-12
LEAST_ROWS = 20_000
LEAST_ROWS_EVER = 2_000
LEAST_OF_A_CLASS = 50


def check_rows(rows: int, whose: str, *, is_small_accepted: bool) -> None:
    """Raises DataError where a party has too few rows for its weights to be revealed."""
    if rows < LEAST_ROWS_EVER:
        raise DataError(
            f"joint_head.reveal=both: {whose} has {rows:,} rows, and below {LEAST_ROWS_EVER:,} weights tell of single "
            "rows; set joint_head.reveal=nobody"
        )
    if rows < LEAST_ROWS and not is_small_accepted:
        raise DataError(
            f"joint_head.reveal=both: {whose} has {rows:,} rows, fewer than {LEAST_ROWS:,}; set "
            "joint_head.reveal=nobody, or joint_head.reveal_small=true at both sides"
        )


def check_classes(counts_C: Sequence[int]) -> None:
    """Raises DataError where the own rows of a class are too few. A class without any row shows nothing of one."""
    few = [f"{count} of class {number}" for number, count in enumerate(counts_C) if 0 < count < LEAST_OF_A_CLASS]
    if few:
        raise DataError(
            f"joint_head.reveal=both: this party has {', '.join(few)}, fewer than {LEAST_OF_A_CLASS}; set "
            "joint_head.reveal=nobody"
        )


def concealed(share_DC: torch.Tensor, local: Stream) -> torch.Tensor:
    """The own share of W plus noise, int64 modulo 2^64; local is known to nobody else."""
    noise_DC = local.normal(tuple(share_DC.shape)) * (REVEAL_NOISE * (1 << VALUE_BITS))
    return share_DC + noise_DC.round().long()


def revealed(own_DC: torch.Tensor, theirs_DC: torch.Tensor) -> torch.Tensor:
    """W, float64, under the noise of both."""
    return as_weights(own_DC + theirs_DC)
