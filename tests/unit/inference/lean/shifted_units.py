"""The peer's last layer, taken by a party that deviates: it adds a constant to its share of one hidden unit a query.

Semi-honest protocols cannot notice that: a share plus a constant is a share of another value. What the last layer makes
of it is the constant times the weights of that unit, and the party opens the logits. All two-party inference that
assumes parties who follow the protocol has this (R. Lehmkuhl et al., "Muse: Secure Inference Resilient to Malicious
Clients", USENIX Security 2021). Noise in the answers does not help: a larger constant drowns it, and where the ring
wraps, smaller constants have told before by how much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Deviate = Callable[[torch.Tensor], torch.Tensor]
"""Integers (N, units) -> logits (N, C): of N copies of one image, where each row is added to the shares of the units
that the last layer reads."""


def stolen_weights(answer: Deviate, num_units: int, shifts: Sequence[int], period: float) -> torch.Tensor:
    """Weights (C, units) of the last layer, less those of class 0, each times one factor that all have in common.

    It takes len(shifts) * num_units + 1 queries.

    Args:
        shifts: ascending. What the first one adds to a logit must stay within half a period; from one to the next the
            uncertainty of a logit grows as they do, and must stay within it, too.
        period: at which differences between logits wrap around.
    """
    unit_rows = torch.eye(num_units, dtype=torch.int64)
    rows = torch.cat([torch.zeros(1, num_units, dtype=torch.int64), *(shift * unit_rows for shift in shifts)])
    logits_NC = answer(rows).double()
    relative_NC = logits_NC - logits_NC[:, :1]
    weights_UC = torch.zeros(num_units, logits_NC.size(1), dtype=torch.float64)
    for shift, change_UC in zip(shifts, torch.split(relative_NC[1:] - relative_NC[0], num_units), strict=True):
        expected_UC = shift * weights_UC
        turns_UC = ((change_UC - expected_UC) / period).round()
        weights_UC = (change_UC - period * turns_UC) / shift
    return weights_UC.T


def relative_error(stolen: torch.Tensor, weights: torch.Tensor) -> float:
    """Distance of stolen from the true weights (C, units), less those of class 0, at the factor that fits best."""
    true = (weights - weights[:1]).double()
    factor = (stolen * true).sum() / stolen.square().sum()
    return float((factor * stolen - true).norm() / true.norm())
