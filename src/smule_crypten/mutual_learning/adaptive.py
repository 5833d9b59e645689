"""Whether a party wants another exchange (exchange.schedule=adaptive): was the last one worth its bytes?"""

from __future__ import annotations

from typing import Any


def was_worth_it(gain: float, error: float, num_bytes: int, min_gain_per_mb: float) -> bool:
    """Whether a gain of accuracy, with its standard error (both 0..1), may be min_gain_per_mb points for 10^6 bytes.

    The measurement is noisy, so an exchange only counts as not worth it where one standard error more would not do.
    """
    return 100 * (gain + error) >= min_gain_per_mb * num_bytes / 10**6


class Wish:
    """What a party wants, from its accuracy on its own validation part before each exchange that may take place.

    The first exchange is wanted. Each is judged once, by what was gained until the next one may take place; as long as
    none follows that verdict stands.
    """

    def __init__(self, min_gain_per_mb: float) -> None:
        self._min_gain_per_mb = min_gain_per_mb
        self._before = 0.0
        self._num_bytes: int | None = None
        self._wants = True

    def wants_another(self, accuracy: float, error: float) -> bool:
        """Whether it wants the exchange that may take place now; error is the standard error of accuracy."""
        if self._num_bytes is not None:
            self._wants = was_worth_it(accuracy - self._before, error, self._num_bytes, self._min_gain_per_mb)
            self._num_bytes = None
        self._before = accuracy
        return self._wants

    def exchanged(self, num_bytes: int) -> None:
        """It took place, whoever wanted it, and cost this party so many bytes."""
        self._num_bytes = num_bytes

    def state_dict(self) -> dict[str, Any]:
        return {"before": self._before, "num_bytes": self._num_bytes, "wants": self._wants}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._before, self._num_bytes, self._wants = state["before"], state["num_bytes"], state["wants"]
