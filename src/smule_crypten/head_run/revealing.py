"""The weights of a joint head revealed to both parties: for whom that is refused.

W tells more than a network that was trained jointly: (G_a + penalty I) W - H_a is the other party's gradient over all
its rows. Noise on the weights (joint_head/weight_noise.py) hides some of that, the less the smaller the penalty is. Of
rows of one mixture, with twice the features as the penalty, a member is told from a stranger with an AUC of 0.90 and
0.62 where 2,000 and 20,000 rows are in W, under noise of 0.2 with one of 0.73 and 0.59 (docs/joint-head.md, features of
a trunk). So it is refused below the former, and below the latter unless both accept that, under at least this noise;
and with a smaller penalty than one for each feature.
"""

from __future__ import annotations

from collections.abc import Sequence

from smule_crypten.errors import ConfigError, DataError

LEAST_ROWS = 20_000
LEAST_ROWS_EVER = 2_000
LEAST_NOISE_OF_FEW = 0.2
"""joint_head.noise, below LEAST_ROWS."""
LEAST_OF_A_CLASS = 50
LEAST_PENALTY = 1.0
"""For each feature."""


def check_rows(rows: int, whose: str, *, is_small_accepted: bool, noise: float) -> None:
    """Raises DataError where a party has too few rows for its weights to be revealed under joint_head.noise."""
    if rows < LEAST_ROWS_EVER:
        raise DataError(
            f"joint_head.reveal=both: {whose} has {rows:,} rows, and below {LEAST_ROWS_EVER:,} weights tell of single "
            "rows; set joint_head.reveal=nobody"
        )
    if rows < LEAST_ROWS and not (is_small_accepted and noise >= LEAST_NOISE_OF_FEW):
        raise DataError(
            f"joint_head.reveal=both: {whose} has {rows:,} rows, fewer than {LEAST_ROWS:,}; set "
            "joint_head.reveal=nobody, or at both sides joint_head.reveal_small=true and joint_head.noise to "
            f"{LEAST_NOISE_OF_FEW:g} or more"
        )


def check_penalty(penalty: float, features: int) -> None:
    """Raises ConfigError where it is so small that noise on the weights hides little."""
    if penalty < LEAST_PENALTY * features:
        raise ConfigError(
            f"joint_head.reveal=both: a penalty of {penalty:g} is less than {LEAST_PENALTY:g} for each of the "
            f"{features:,} features, and lets noise hide hardly any row; leave joint_head.penalty out if it is set, or "
            "set joint_head.reveal=nobody"
        )


def check_classes(counts_C: Sequence[int]) -> None:
    """Raises DataError where the party's rows of a class are too few. A class without any row shows nothing of one."""
    few = [f"{count} of class {number}" for number, count in enumerate(counts_C) if 0 < count < LEAST_OF_A_CLASS]
    if few:
        raise DataError(
            f"joint_head.reveal=both: this party has {', '.join(few)}, fewer than {LEAST_OF_A_CLASS}; set "
            "joint_head.reveal=nobody"
        )
