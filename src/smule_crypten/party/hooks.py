"""What a simulation may change in the process of a party. Between hosts nobody does."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from smule_crypten.data.samples import DataBundle
from smule_crypten.mutual_learning.peer import Peer
from smule_crypten.party.inputs import PartyInputs

Swap = Callable[[object], object]
"""Own message -> peer's message."""


class Hooks:
    """Leaves everything as it is; a simulation overrides what it changes."""

    def inputs(self, inputs: PartyInputs) -> PartyInputs:
        """What the party learns from in place of its own data; called before everything else."""
        return inputs

    def answering(self, model: nn.Module, exchange: int) -> nn.Module:
        """What answers in place of model in this exchange, counted from 1; of one architecture in all."""
        return model

    def peer(self, peer: Peer) -> Peer:
        """The peer as the party sees it."""
        return peer

    def swap(self, bundle: DataBundle, swap: Swap) -> Swap:
        """`swap` for the message that fixes where both begin."""
        return swap
