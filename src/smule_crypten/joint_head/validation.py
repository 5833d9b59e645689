"""Is the joint head worse than one's own? The one test of it that a party can make alone.

Own validation rows are of own classes, and mostly of the frequent ones, for which the party's own head is made. So
classes that the party has count alike, and both heads choose among these alone: one that knows others, too, takes some
samples for them. The two are compared sample by sample: those that both name right or both wrong say nothing, and of
the others half would be either one's if the heads were equally good (McNemar's test in each class). What is wrong only
with a trigger, or only of classes that the party lacks, is not seen.
"""

from __future__ import annotations

import math

import torch

ALARM = -3.0
"""Deviations: a joint head that is as good as the party's own for its classes falls below it with probability 0.1 %."""
_LEAST = 5
"""Samples of a class without which it does not count."""


def advantage(head_NC: torch.Tensor, own_NC: torch.Tensor, classes_N: torch.Tensor) -> float | None:
    """By how many standard deviations the joint head is right more often than the party's own.

    None where fewer than two classes have samples enough; 0 where both are right and wrong alike.

    Args:
        head_NC, own_NC: outputs of both for the same validation samples.
        classes_N: their true classes.
    """
    counted = (classes_N.bincount(minlength=head_NC.size(1)) >= _LEAST).nonzero().squeeze(1)
    if len(counted) < 2:
        return None
    right_by_head_N, right_by_own_N = (
        (counted[outputs_NC[:, counted].argmax(dim=1)] == classes_N).double() for outputs_NC in (head_NC, own_NC)
    )
    parts = [(right_by_head_N - right_by_own_N)[classes_N == label] for label in counted]
    # A difference is -1, 0 or 1, and as often less as more than 0 where both are equally good.
    variance = sum(float(part.square().mean()) / len(part) for part in parts)
    gain = sum(float(part.mean()) for part in parts)
    return gain / math.sqrt(variance) if variance else 0.0
