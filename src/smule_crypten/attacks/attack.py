"""What an adversary may do: change its own training data, and answer with another network than its own.

While it follows the protocol nothing else is in its power: it sees no sample of the honest party, and its answers come
from a network that the scheme evaluates. So each attack here gives such a network, and works with every scheme.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from smule_crypten.data.samples import Samples

Predict = Callable[[torch.Tensor], torch.Tensor]
"""From inputs (N, X) to logits (N, classes) on the CPU."""


class Attack:
    """No attack; the others override what they change."""

    def poisoned(self, train: Samples) -> Samples:
        """What the adversary trains on in place of train."""
        return train

    def answering(self, model: nn.Module, exchange: int) -> nn.Module:
        """The network that answers in exchange number `exchange`, counted from 1; model stays as it is.

        Its architecture is the same in every exchange.
        """
        return model

    def success(self, predict: Predict, test: Samples) -> float | None:
        """How often (0 to 1) an honest party's network does what the attack aims at; None for mere harm."""
        return None


def answered_as(logits_NC: torch.Tensor, labels_N: torch.Tensor, target: int, source: int | None = None) -> float:
    """Share of the samples of class source (None: of all classes but target) that are taken for target.

    NaN where there is no such sample.
    """
    chosen_N = labels_N != target if source is None else labels_N == source
    return float((logits_NC.argmax(1)[chosen_N] == target).double().mean())
