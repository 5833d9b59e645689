"""The parameter sets of the LPN assumption, in one table.

Assumed: the encoding of 2^log_size uniform bits, plus a noise of `trees` ones, one at a uniform place in each stretch
of 2^depth bits, looks uniform. The code is public, ten-local (code.py).

The protocol is Ferret (eprint 2020/924) with half-trees (eprint 2022/1431). Each set lists log2 of what attacks cost,
and `bits` is the least of them. They are (omega = 2.8, the exponent of matrix multiplication; each rounded down):

- pooled_gauss: draw 2^log_size rows that happen to be free of noise, then solve (eprint 2022/712), as evaluated here:
  expected tries times (2^log_size)^2.8. A test computes it again.
- algebraic: guess, then linearise equations of degree 2 of the regular noise (eprint 2025/1284, Theorem 1), as
  evaluated here, with at most 11 blocks guessed in full; the formula is from a transcription by others, not checked
  against the paper. A test computes it again.
- noted: the figure that the sets were chosen with. Which attack it stands for is not known; nothing computes it again.

Beside LPN, the receiver may guess nodes of the trees: all `targets` of an iteration are under one key, so a guess
counts for all of them (eprint 2019/1168). At b13 these are 22,800, which costs 14.5 of the 128 bits of a block: 113.5
are left (`guess_bits`). Other iterations and instances are under other keys (hashing.py) and add nothing.

No estimator was run beyond these: not for statistical decoding, information sets (2022/712), the algebraic attacks of
2023/176, nor those of 2023/1568 and 2025/1476, which may be cheaper. By what is listed, b13 is a little below 128 bits.
Estimates still move: a change of this table has to look at all of them.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

from smule_crypten.oblivious.blocks import BLOCK_BYTES


@dataclass(frozen=True, kw_only=True)
class Attacks:
    """log2 of the operations of each attack above."""

    pooled_gauss: float
    algebraic: float
    noted: float


@dataclass(frozen=True, kw_only=True)
class LpnSet:
    """One iteration: `seeds` transfers become `rows`. attacks: None where anyone can solve it."""

    name: str
    trees: int
    log_size: int
    depth: int
    attacks: Attacks | None

    @property
    def bits(self) -> float:
        """Of security, by the least of the attacks that are listed; 0 where there is none."""
        return min(astuple(self.attacks)) if self.attacks else 0.0

    @property
    def targets(self) -> int:
        """Nodes on the receiver's paths in an iteration: whoever guesses one of them knows the difference."""
        return self.trees * (self.depth - 1)

    @property
    def guess_bits(self) -> float:
        """log2 of the expected guesses until one is a target; each is an AES block and a look in a table."""
        return 8 * BLOCK_BYTES - math.log2(self.targets)

    @property
    def inputs(self) -> int:
        """What the code encodes."""
        return 1 << self.log_size

    @property
    def rows(self) -> int:
        """Transfers that an iteration makes, those for the next iteration included."""
        return self.trees << self.depth

    @property
    def seeds(self) -> int:
        """Transfers that an iteration uses up: the inputs of the code, and one for each level of each tree."""
        return self.inputs + self.trees * self.depth

    @property
    def message_bytes(self) -> int:
        """What the sender sends in an iteration; the receiver sends nothing."""
        return self.trees * self.depth * BLOCK_BYTES


B13 = LpnSet(
    name="b13",
    trees=1900,
    log_size=19,
    depth=13,
    attacks=Attacks(pooled_gauss=145.5, algebraic=127.4, noted=140.7),
)
B12 = LpnSet(
    name="b12",
    trees=1520,
    log_size=18,
    depth=12,
    attacks=Attacks(pooled_gauss=142.7, algebraic=128.0, noted=131.7),
)
B10 = LpnSet(
    name="b10",
    trees=850,
    log_size=16,
    depth=10,
    attacks=Attacks(pooled_gauss=137.1, algebraic=130.5, noted=128.6),
)
INSECURE_TINY = LpnSet(name="insecure_tiny", trees=16, log_size=6, depth=6, attacks=None)
"""For tests alone, and not among SETS: anyone can solve it."""

SETS = {row.name: row for row in (B13, B12, B10)}
"""What a user can name."""


@dataclass(frozen=True)
class Plan:
    """A first, small iteration out of extended base transfers, which feeds the first of the main ones."""

    start: LpnSet
    main: LpnSet

    def __post_init__(self) -> None:
        for row in (self.start, self.main):
            if row.rows < self.main.seeds:
                raise ValueError(f"an iteration of {row.name} makes {row.rows} transfers, {self.main.seeds} are due")

    @property
    def reserved_trees(self) -> int:
        """Trees of a main iteration that feed the next one."""
        return -(-self.main.seeds >> self.main.depth)

    @property
    def transfers(self) -> int:
        """What a main iteration leaves for use."""
        return (self.main.trees - self.reserved_trees) << self.main.depth


STANDARD = Plan(start=B10, main=B13)
