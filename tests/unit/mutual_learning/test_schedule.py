from __future__ import annotations

from typing import Any

import pytest

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.sections import parse
from smule_crypten.errors import ConfigError
from smule_crypten.mutual_learning.schedule import exchange_epochs


@pytest.mark.parametrize(
    ("warmup", "every", "num_epochs", "expected"),
    [
        (0, 1, 4, [1, 2, 3, 4]),
        (1, 1, 4, [2, 3, 4]),
        (0, 2, 6, [1, 3, 5]),
        (2, 3, 9, [3, 6, 9]),
        (3, 5, 6, [4]),
        (4, 1, 4, []),
        (None, 1, 6, [4, 5, 6]),
        (None, 2, 7, [4, 6]),
        (None, 1, 1, [1]),
    ],
)
@pytest.mark.parametrize("schedule", ["periodic", "adaptive"])
def test_epochs_with_an_exchange(
    schedule: str, warmup: int | None, every: int, num_epochs: int, expected: list[int]
) -> None:
    """Both parties must stop at the same epochs, or one waits for ever; no warm-up given means half of all epochs."""
    config = parse(ExchangeConfig, {"schedule": schedule, "warmup_epochs": warmup, "every": every})
    assert list(exchange_epochs(config, num_epochs)) == expected


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("front_loaded", 0, [1, 2, 3]),
        ("front_loaded", None, [6, 7, 8]),
        ("late", 0, [8, 9, 10]),
        ("late", None, [8, 9, 10]),
    ],
)
def test_exchanges_in_a_row(schedule: str, warmup: int | None, expected: list[int]) -> None:
    """A few large exchanges at either end, whatever `every` says."""
    values = {"schedule": schedule, "warmup_epochs": warmup, "num_exchanges": 3, "every": 2}
    assert list(exchange_epochs(parse(ExchangeConfig, values), 10)) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "late"}, "schedule=late needs num_exchanges"),
        (
            {"schedule": "adaptive", "num_exchanges": 2},
            "num_exchanges belongs to schedule=front_loaded or late, not to",
        ),
        ({"num_exchanges": 2}, "num_exchanges belongs to schedule=front_loaded or late, not to periodic"),
        ({"schedule": "seldom"}, "schedule: .*'periodic', 'front_loaded', 'late' or 'adaptive', got 'seldom'"),
    ],
)
def test_settings_that_do_not_go_together(values: dict[str, Any], message: str) -> None:
    """A number that would do nothing is refused, and so is a schedule without the number that it needs."""
    with pytest.raises(ConfigError, match=message):
        parse(ExchangeConfig, values)
