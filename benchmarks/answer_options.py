"""What the owner of a network could do to its answers before the other party sees them.

Noise is what disclosure.logit_noise adds under secret sharing, and the only option that an owner can enforce. The
others change answers in the clear, as a scheme that computed them would: they show what such a scheme could bring,
no more.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Option = Callable[[torch.Tensor], torch.Tensor]
"""Logits (N, C) to those that are told, as logits."""


def options() -> dict[str, Option]:
    """By name, with a generator of their own, so that equal calls in equal order see equal noise."""
    generator = torch.Generator().manual_seed(0)
    return {
        "as they are": lambda logits: logits,
        "noise 1": lambda logits: logits + torch.randn(logits.shape, generator=generator),
        "noise 3": lambda logits: logits + 3 * torch.randn(logits.shape, generator=generator),
        "temperature 4 (not enforced)": lambda logits: logits / 4,
        "2 bits a probability (not enforced)": lambda logits: _log((logits.softmax(1) * 3).round() / 3),
        "top 3 (not enforced)": _top_three,
        "label only (not enforced)": lambda logits: 10.0 * torch.eye(logits.shape[1])[logits.argmax(1)],
    }


def _log(probabilities_NC: torch.Tensor) -> torch.Tensor:
    return (probabilities_NC + 1e-3).log()


def _top_three(logits_NC: torch.Tensor) -> torch.Tensor:
    """The three most likely classes as they are, the rest of the probability spread evenly."""
    probabilities_NC = logits_NC.softmax(1)
    top = probabilities_NC.topk(3, dim=1)
    rest = (1 - top.values.sum(1, keepdim=True)) / (logits_NC.shape[1] - 3)
    return rest.expand_as(probabilities_NC).scatter(1, top.indices, top.values).clamp_min(1e-6).log()
