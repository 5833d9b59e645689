"""CrypTen's Communicator over a Channel, for two parties.

CrypTen's own communicator uses gloo collectives, and reduce(dst=...) over gloo leaves about half of the sum in the
buffer of the party that should not learn it. Here a reduction to one party is a message to that party, who adds; a
reduction to both is one crossing message each way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.distributed import ReduceOp

from smule_crypten.errors import ProtocolError
from smule_crypten.mpc.channel import Channel
from smule_crypten.mpc.compat import crypten


class TwoPartyCommunicator(crypten.communicator.Communicator):  # type: ignore[misc]
    """The operations that secure inference uses. Any other operation of the base class raises NotImplementedError."""

    BYTES_PER_ELEMENT = 8

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.reset_communication_stats()

    def get_rank(self) -> int:
        return self._channel.rank

    def get_world_size(self) -> int:
        return 2

    def all_reduce(self, input: Any, op: Any = ReduceOp.SUM, batched: bool = False) -> Any:
        """Both parties learn the sum (or XOR) of both inputs: one round, also for a batch."""
        combine = _combination(op)
        own = list(input) if batched else [input]
        theirs = self._channel.swap(own)
        results = [combine(mine, other) for mine, other in zip(own, theirs, strict=True)]
        return results if batched else results[0]

    def reduce(self, input: Any, dst: int, op: Any = ReduceOp.SUM, batched: bool = False) -> Any:
        """Only dst learns the sum (or XOR); the other party sends its share, receives nothing and gets None."""
        combine = _combination(op)
        own = list(input) if batched else [input]
        if self.get_rank() != dst:
            for share in own:
                self._channel.send(share)
            return None
        results = [combine(share, self._channel.receive(share.shape, share.dtype)) for share in own]
        return results if batched else results[0]


def _combination(op: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    if op == ReduceOp.SUM:
        return torch.add
    if op == ReduceOp.BXOR:
        return torch.bitwise_xor
    raise ProtocolError(f"a reduction by {op} is not defined on shares; use SUM or BXOR")
