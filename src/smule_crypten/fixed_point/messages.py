"""What the messages of one direction cost, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from smule_crypten.types import Cost, DirectionCost

Message = tuple[bool, int]
"""Whether the model owner sends it, and its bytes."""


def cost_of_messages(messages: Iterable[Message], dealer_bytes: int = 0) -> DirectionCost:
    """Rounds and bytes of both sides. A round is all that one side sends before it waits.

    Args:
        dealer_bytes: what the model owner gets from a dealer.
    """
    said = list(messages)
    rounds = sum(1 for _ in groupby(said, key=lambda message: message[0]))
    sent = {speaker: sum(size for who, size in said if who is speaker) for speaker in (True, False)}
    return DirectionCost(
        model_owner=Cost(rounds=rounds, bytes_sent=sent[True], bytes_received=sent[False], dealer_bytes=dealer_bytes),
        data_owner=Cost(rounds=rounds, bytes_sent=sent[False], bytes_received=sent[True]),
    )
