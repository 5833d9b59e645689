"""What training with a peer will gain over training alone, forecast before anything is trained.

gain = TAKEN n / (n + HALF) g, with g the gain of both networks' answers taken together over the own network's on
samples of known label (worth.py), and n the number of samples that the peer will have been asked about. The two
constants are a least-squares fit to settings, seeds and budgets of benchmarks/learning.py on CIFAR-10, made by
benchmarks/gain_forecast.py; ERROR is the standard deviation of what the fit leaves. Other data may differ by more.
"""

from __future__ import annotations

from dataclasses import dataclass

TAKEN = 1.03
HALF = 1420
ERROR = 0.01
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Of the gain in accuracy, 1 for 100 points; low to high covers two standard errors."""

    num_asked: int
    gain: float
    low: float
    high: float


def forecast(gain: float, interval: tuple[float, float], num_asked: int) -> Forecast:
    """Args:
    gain, interval: of both answers together over the own one, with its 95 % interval.
    num_asked: samples that the peer will have been asked about in all.
    """
    taken = TAKEN * num_asked / (num_asked + HALF)
    error = _STANDARD_ERRORS * ERROR
    low, high = (abs(end - gain) * taken for end in interval)
    return Forecast(
        num_asked=num_asked,
        gain=taken * gain,
        low=taken * gain - (low**2 + error**2) ** 0.5,
        high=taken * gain + (high**2 + error**2) ** 0.5,
    )
