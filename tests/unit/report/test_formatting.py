from __future__ import annotations

import pytest

from smule_crypten.report.formatting import MISSING, human_bytes, human_seconds, percent, task_title


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (12_345_678, "12.35 MB"), (4_213_000_000, "4.21 GB")],
)
def test_bytes_are_decimal_with_two_digits(num_bytes: int, text: str) -> None:
    """1 MB is 1,000,000 bytes, as network people count, and small counts stay exact."""
    assert human_bytes(num_bytes) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.97, "1 min 00 s")])
def test_seconds_never_read_60(seconds: float, text: str) -> None:
    """Rounding does not turn 59.97 seconds into '60.0 s'."""
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(61.0, "1 min 01 s"), (3599.7, "1 h 00 min"), (7384.0, "2 h 03 min")])
def test_long_times_use_minutes_and_hours(seconds: float, text: str) -> None:
    """Long times are readable, and rounding carries over from seconds to hours."""
    assert human_seconds(seconds) == text


def test_unknown_values_are_dashes() -> None:
    """'Not measured' is never shown as zero."""
    assert percent(None) == human_bytes(None) == human_seconds(None) == MISSING


def test_trainings_have_names() -> None:
    """The pooled training belongs to no party."""
    assert [task_title("a", "standalone"), task_title("b", "smule"), task_title("pooled", "pooled")] == [
        "a alone",
        "b SMuLe",
        "pooled data",
    ]
