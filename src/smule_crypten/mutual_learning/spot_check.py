"""Which answers cannot be right, and the spot check: some are asked for twice, with fresh randomness, and compared.

Two answers to one sample by one network differ by rounding and by the noise that its owner adds. So a larger difference
shows that one of the two evaluations was not what it should be: a fault, or a party or a dealer that shifted some of
the shares. The subset is drawn after the first answers came, whatever they are, from the operating system's randomness;
the peer learns only its size, which both knew beforehand.

What it cannot show: a deviation that is the same in both evaluations, such as one constant added to all logits of a
class. That is what a network with another last layer would have answered, too; tasks/alarm.py looks at those.
"""

from __future__ import annotations

import math
import secrets

import torch

from smule_crypten.errors import SpotCheckError
from smule_crypten.types import PeerPrediction

NOISE_TOLERANCE = 10.0
"""By how many times the standard deviation of the announced noise two answers to one sample may differ."""


def fitting_inputs(inputs_NX: torch.Tensor, input_bound: float) -> torch.Tensor:
    """(N,) bool: which inputs are no larger than what the other party's network was fitted for."""
    return (inputs_NX.abs() <= input_bound).flatten(1).all(1)


def plausible_answers(prediction: PeerPrediction, logit_bound: float) -> torch.Tensor:
    """(N,) bool: which answers are finite and within the bound that the owner of the network states."""
    return (prediction.logits_NC.abs() <= logit_bound).all(1)


def draw_subset(num_samples: int, num_checks: int) -> torch.Tensor:
    """(num_samples,) bool: which answers are asked for again."""
    chosen = torch.zeros(num_samples, dtype=torch.bool)
    chosen[secrets.SystemRandom().sample(range(num_samples), min(num_checks, num_samples))] = True
    return chosen


def compare_answers(first: PeerPrediction, again: PeerPrediction, logit_bound: float, tolerance: float) -> None:
    """`first` and `again` hold answers to the same samples, in the same order; implausible ones say nothing.

    Raises:
        SpotCheckError: two differ by more than tolerance.
    """
    compared_N = plausible_answers(first, logit_bound) & plausible_answers(again, logit_bound)
    if not bool(compared_N.any()):
        return
    difference_N = (first.logits_NC[compared_N] - again.logits_NC[compared_N]).abs().amax(1)
    wrong = int((difference_N > tolerance).sum())
    if wrong:
        raise SpotCheckError(
            f"spot check of exchange {first.query_id}: {wrong} of {len(difference_N)} answers of the other party "
            f"differ when asked again, by up to {float(difference_N.max()):.2g} (tolerance {tolerance:g}); its side, "
            "this one or a dealer deviates from the protocol"
        )


def detection_probability(num_samples: int, num_wrong: int, num_checks: int) -> float:
    """That at least one of num_wrong wrong answers is among the checked ones (hypergeometric)."""
    checks = min(num_checks, num_samples)
    return 1 - math.comb(num_samples - num_wrong, checks) / math.comb(num_samples, checks)
