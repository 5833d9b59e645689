"""The table of parameters: what attacks cost, computed here once more; no set claims more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smule_crypten.oblivious.parameters import B10, B12, B13, INSECURE_TINY, SETS, STANDARD, LpnSet, Plan

OMEGA = 2.8
"""Exponent of matrix multiplication."""


def pooled_gauss_bits(lpn: LpnSet) -> float:
    """Draw as many rows as there are inputs until none is noisy, and solve each time."""
    tries = -lpn.inputs * math.log2(1 - 2.0**-lpn.depth)
    return tries + OMEGA * lpn.log_size


def algebraic_bits(rows: int, inputs: int, trees: int, size: int, most_full: int = 12) -> float:
    """Theorem 1 of eprint 2025/1284 at its best parameters, from a transcription by others.

    As we read it: the attacker guesses that the noise of each of `trees - full` blocks lies in `kept` of its `size`
    places (one less in `short` of them), so the others are free of noise; `full` blocks are guessed whole. What is left
    is a system of degree 2, which is linearised.
    """
    best = math.inf
    for full in range(most_full):
        blocks = trees - full
        for short in range(0, blocks + 1, max(1, trees // 300)):
            kept = np.arange(max(2, -(-(rows - inputs + short) // blocks)), size + 1, dtype=float)
            unknowns = inputs - short - blocks * (size - kept)
            free = unknowns - full * size
            equations = blocks * kept * (kept - 1) / 2 - short * (kept - 1)
            mixed = (full + 1) * free + 2 * full + full * (full - 1) / 2
            solvable = (free >= 1) & (2 * equations - free * (free + 1) >= 5 * mixed)
            if not solvable.any():
                continue
            kept, unknowns, free, mixed = (values[solvable] for values in (kept, unknowns, free, mixed))
            rest = np.maximum(rows - inputs - (rows - inputs) // size * (kept - 1), 1)
            reduce = np.log2((rows - inputs) * rest * (unknowns + rest))
            linearise = OMEGA * np.log2((unknowns**2 + 3 * unknowns) / 2)
            terms = free + full * size * (2 + free + (full * size - 1) / 2)
            lines = np.log2(5 * mixed / 2)
            again = np.logaddexp2(OMEGA * lines, lines + np.log2(np.maximum(terms, 1)))
            guesses = short * (math.log2(size) - np.log2(kept - 1)) + (blocks - short) * (
                math.log2(size) - np.log2(kept)
            )
            each = np.logaddexp2(reduce, np.logaddexp2(linearise, full * math.log2(size) + again))
            best = min(best, float((guesses + each).min()))
    return best


@pytest.mark.parametrize("lpn", SETS.values(), ids=lambda lpn: lpn.name)
def test_no_set_claims_more_than_the_attacks_that_are_computed(lpn: LpnSet) -> None:
    """Each figure is the computed one, rounded down to a tenth; what is claimed is the least."""
    assert lpn.attacks is not None
    computed = pooled_gauss_bits(lpn), algebraic_bits(lpn.rows, lpn.inputs, lpn.trees, 1 << lpn.depth)
    for listed, cost in zip((lpn.attacks.pooled_gauss, lpn.attacks.algebraic), computed, strict=True):
        assert listed == math.floor(10 * cost) / 10
    assert lpn.bits <= min(computed)
    assert lpn.bits <= lpn.attacks.noted
    assert lpn.rows > lpn.seeds


def test_the_formula_moves_the_right_way() -> None:
    """Fewer inputs, or more rows of the same noise in a block, make the attack cheaper."""
    at_b10, fewer_inputs, more_rows = (
        algebraic_bits(trees << 10, inputs, trees, 1 << 10, most_full=2)
        for trees, inputs in ((850, 1 << 16), (850, 1 << 15), (1000, 1 << 16))
    )
    assert fewer_inputs < at_b10 - 10
    assert more_rows < at_b10 - 1


def test_the_table_in_figures() -> None:
    assert (B13.seeds, B12.seeds, B10.seeds) == (548_988, 280_384, 74_036)
    assert (B13.bits, B12.bits, B10.bits) == (127.4, 128.0, 128.6)
    assert STANDARD.transfers == 15_007_744
    assert INSECURE_TINY.bits == 0
    assert B13.targets == 22_800
    assert math.floor(10 * B13.guess_bits) / 10 == 113.5
    assert INSECURE_TINY not in SETS.values()
    with pytest.raises(ValueError, match="makes 1024 transfers, 74036 are due"):
        Plan(start=INSECURE_TINY, main=B10)
