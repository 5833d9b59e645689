"""The code: rows are what their places say, whatever is computed at once."""

from __future__ import annotations

import numpy as np
import pytest
from oblivious_harness import repeatable_bytes

from smule_crypten.oblivious.blocks import random_blocks
from smule_crypten.oblivious.code import COLUMNS, LocalCode

KEY = bytes(range(16))


def test_rows_are_sums_of_the_inputs_at_their_places() -> None:
    inputs = random_blocks(repeatable_bytes(1), 64)
    code = LocalCode(KEY, 6)
    rows = random_blocks(repeatable_bytes(2), 50).copy()
    expected = rows ^ np.bitwise_xor.reduce(inputs[code.places(10, 50)], axis=0)
    code.add_to(rows, inputs, 10)
    np.testing.assert_array_equal(rows, expected)


def test_rows_are_addressed_by_number_not_by_chunk() -> None:
    """Two parties that work in stretches of different lengths have the same code."""
    inputs = random_blocks(repeatable_bytes(1), 1 << 10)
    whole, parts = np.zeros((40_000, 2), dtype=np.uint64), np.zeros((40_000, 2), dtype=np.uint64)
    code = LocalCode(KEY, 10)
    code.add_to(whole, inputs, 0)
    for start, stop in ((0, 2), (2, 9_000), (9_000, 9_002), (9_002, 40_000)):
        code.add_to(parts[start:stop], inputs, start)
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_array_equal(code.places(16_380, 8), code.places(0, 40_000)[:, 16_380:16_388])


def test_places_are_uniform() -> None:
    """Every column by itself: chi-square over 64 inputs, mean 63, standard deviation 11."""
    places = LocalCode(KEY, 6).places(0, 1 << 16)
    assert places.shape == (COLUMNS, 1 << 16)
    for column in places:
        counts = np.bincount(column, minlength=64)
        assert len(counts) == 64
        assert ((counts - 1024) ** 2 / 1024).sum() < 63 + 5 * 11.3


def test_columns_have_nothing_to_do_with_each_other() -> None:
    places = LocalCode(KEY, 6).places(0, 1 << 16)
    same = [(places[a] == places[b]).mean() for a in range(COLUMNS) for b in range(a)]
    assert max(abs(np.array(same) - 1 / 64)) < 5 * (1 / 64 / (1 << 16)) ** 0.5


@pytest.mark.parametrize(("first", "count"), [(1, 2), (0, 3)])
def test_odd_stretches_are_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="in pairs"):
        LocalCode(KEY, 6).places(first, count)


@pytest.mark.parametrize("log_size", [0, 22])
def test_sizes_that_a_word_has_no_room_for_are_refused(log_size: int) -> None:
    with pytest.raises(ValueError, match="2\\^1 to 2\\^21"):
        LocalCode(KEY, log_size)
