"""What channels in memory have in common: tensors only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from smule_crypten.transport.channel import Channel
from smule_crypten.transport.meter import CostMeter


class TensorChannel(Channel):
    """Counts what a subclass transfers, and knows no JSON."""

    def __init__(self, rank: int) -> None:
        self.rank, self.meter = rank, CostMeter()

    def count(self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor], *, rounds: int) -> None:
        self.meter.record(
            rounds=rounds,
            bytes_sent=sum(tensor.nbytes for tensor in outgoing),
            bytes_received=sum(tensor.nbytes for tensor in incoming),
        )

    def post(self, tensor: torch.Tensor) -> None:
        raise NotImplementedError

    def take_arrived(self, num_bytes: int) -> torch.Tensor | None:
        raise NotImplementedError

    def send_json(self, value: object) -> None:
        raise NotImplementedError

    def receive_json(self) -> Any:
        raise NotImplementedError

    def swap_json(self, value: object) -> Any:
        raise NotImplementedError
