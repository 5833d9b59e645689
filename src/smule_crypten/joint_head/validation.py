"""Is the joint head worse than one's own? The one test of it that a party can make alone.

Own validation rows are of own classes, and mostly of the frequent ones, for which the own head is made. So classes that
the party has count alike, and the two heads are compared sample by sample.
"""

from __future__ import annotations

import math

import torch

ALARM = -3.0
"""Deviations: an honest joint head that is as good as the own one falls below with a probability of 0.1 %."""
_LEAST = 5
"""Samples of a class without which it does not count."""


def advantage(head_NC: torch.Tensor, own_NC: torch.Tensor, classes_N: torch.Tensor) -> float:
    """By how many standard deviations the joint head is right more often than the own one; 0 where nothing can be said.

    Args:
        head_NC, own_NC: outputs of both for the same validation samples.
        classes_N: their true classes.
    """
    better_N = (head_NC.argmax(dim=1) == classes_N).double() - (own_NC.argmax(dim=1) == classes_N).double()
    parts = [better_N[classes_N == label] for label in range(head_NC.size(1))]
    parts = [part for part in parts if len(part) >= _LEAST]
    variance = sum(float(part.var()) / len(part) for part in parts)
    gain = sum(float(part.mean()) for part in parts)
    return gain / math.sqrt(variance) if variance else 0.0
