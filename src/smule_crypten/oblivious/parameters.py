"""The parameter sets of the LPN assumption, in one table.

Assumed: the encoding of 2^log_size uniform bits, plus a noise of `trees` ones, one at a uniform place in each stretch
of 2^depth bits, looks uniform. The code is public, ten-local (code.py).

The protocol is Ferret (eprint 2020/924) with half-trees (eprint 2022/1431). `bits` is log2 of the estimated cost of the
best attack at the time of the choice; nothing here computes it again, but for the bound by pooled Gauss that a test
checks. Where attacks on such parameters are estimated: eprint 2022/712 (pooled Gauss, statistical decoding,
information sets, with regular noise), 2023/176 (algebraic, for regular noise), 2023/1568, 2025/1284, 2025/1476.
Estimates still move: a change of this table has to look at all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from smule_crypten.oblivious.blocks import BLOCK_BYTES


@dataclass(frozen=True, kw_only=True)
class LpnSet:
    """One iteration: `seeds` transfers become `rows`. bits: of security, 0 where there is none."""

    name: str
    trees: int
    log_size: int
    depth: int
    bits: float

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


B13 = LpnSet(name="b13", trees=1900, log_size=19, depth=13, bits=140.7)
B12 = LpnSet(name="b12", trees=1520, log_size=18, depth=12, bits=131.7)
B10 = LpnSet(name="b10", trees=850, log_size=16, depth=10, bits=128.6)
INSECURE_TINY = LpnSet(name="insecure_tiny", trees=16, log_size=6, depth=6, bits=0.0)
"""For tests: anyone can solve it."""

SETS = {row.name: row for row in (B13, B12, B10, INSECURE_TINY)}


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
