"""Spot check: some answers of an exchange are asked for a second time, with fresh randomness, and compared.

Two answers to one sample by one network differ by rounding alone. So a difference shows that one of the two evaluations
was not what it should be: a fault, or a party or dealer that shifted some of the shares. The subset is drawn after the
first answers came, from the operating system's randomness; the peer learns only its size.

What it cannot show: a deviation that is the same in both evaluations, such as one constant added to all logits of a
class. That is what a network with another last layer would have answered, too; training/alarm.py looks at those.
"""

from __future__ import annotations

import math
import secrets

import torch


def draw_subset(num_samples: int, num_checks: int) -> torch.Tensor:
    """(num_samples,) bool: which answers are asked for again."""
    chosen = torch.zeros(num_samples, dtype=torch.bool)
    chosen[secrets.SystemRandom().sample(range(num_samples), min(num_checks, num_samples))] = True
    return chosen


def detection_probability(num_samples: int, num_wrong: int, num_checks: int) -> float:
    """That at least one of num_wrong wrong answers is among the checked ones (hypergeometric)."""
    checks = min(num_checks, num_samples)
    return 1 - math.comb(num_samples - num_wrong, checks) / math.comb(num_samples, checks)
