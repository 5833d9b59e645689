"""What a scheme costs, said by its class alone, before anything runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.models.architecture import Architecture
from smule_crypten.types import Cost, DirectionCost

Counts = tuple[int, int]
"""How many samples party a and party b ask about in an exchange."""


class Priced(ABC):
    """The part of the contract (scheme.py) that planning needs. Bytes and rounds are exact; times are zero."""

    @classmethod
    @abstractmethod
    def cost_of(
        cls, architecture: Architecture, num_samples: int, config: SchemeConfig, *, dealt: bool
    ) -> DirectionCost:
        """What one direction costs each side, from its begin to its answers, without what went ahead of it.

        It is the same for either opening: all logits of a sample cross, masked by what is common to them or not.

        Args:
            architecture: the model owner's.
            dealt: whether a dealer deals the correlated randomness.
        """

    @classmethod
    def combine(cls, asking: Cost, answering: Cost) -> Cost:
        """What an exchange costs a party, from what each of its two directions costs it."""
        return asking + answering

    @classmethod
    def set_up_cost(cls) -> Cost:
        """What a scheme costs each party when it is made: once a run, and again when a run is resumed."""
        return Cost()

    @classmethod
    def most_ahead(cls, architectures: tuple[Architecture, Architecture], counts: Counts, config: SchemeConfig) -> Cost:
        """What party a sends and receives ahead of an exchange, at most: how much depends on those before it.

        Party b: the other way round. There are no rounds, since nobody waits.
        """
        return Cost()

    @classmethod
    def all_ahead(
        cls, architectures: tuple[Architecture, Architecture], exchanges: Sequence[Counts], config: SchemeConfig
    ) -> Cost:
        """The same of all these exchanges of one run together, exactly."""
        return Cost()
