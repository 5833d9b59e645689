from __future__ import annotations

import pytest

from smule_crypten.config.exchange import ExchangeConfig
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
def test_epochs_with_an_exchange(warmup: int | None, every: int, num_epochs: int, expected: list[int]) -> None:
    """Both parties must stop at the same epochs, or one waits for ever; no warm-up given means half of all epochs."""
    config = ExchangeConfig(warmup_epochs=warmup, every=every)
    assert list(exchange_epochs(config, num_epochs)) == expected
