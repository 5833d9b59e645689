"""The channel between the two parties: tensors of agreed size and short JSON messages, every byte counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from smule_crypten.mpc.link import Link
from smule_crypten.mpc.meter import CostMeter


class Channel(Protocol):
    """A reliable, ordered link to the one other party.

    Raises:
        PeerError, ProtocolError: from every method; see mpc/link.py.
    """

    rank: int
    meter: CostMeter

    def swap(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Send tensors and receive the other party's, of the same shapes and types: one round."""
        ...

    def send(self, tensor: torch.Tensor) -> None:
        """One message to the other party: one round."""
        ...

    def receive(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """One message from the other party: one round."""
        ...

    def swap_json(self, value: object) -> Any:
        """Send a JSON value and receive the other party's: one round."""
        ...


class LinkChannel:
    """A channel over an authenticated, encrypted link."""

    def __init__(self, link: Link, rank: int, meter: CostMeter) -> None:
        self.link = link
        self.rank = rank
        self.meter = meter

    def swap(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        received = [torch.empty(tensor.shape, dtype=tensor.dtype) for tensor in tensors]
        self.link.transfer([as_bytes(tensor) for tensor in tensors], [as_bytes(tensor) for tensor in received])
        num_bytes = sum(tensor.nbytes for tensor in received)
        self.meter.record(rounds=1, bytes_sent=num_bytes, bytes_received=num_bytes)
        return received

    def send(self, tensor: torch.Tensor) -> None:
        self.link.transfer([as_bytes(tensor)], [])
        self.meter.record(rounds=1, bytes_sent=tensor.nbytes)

    def receive(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        received = torch.empty(*shape, dtype=dtype)
        self.link.transfer([], [as_bytes(received)])
        self.meter.record(rounds=1, bytes_received=received.nbytes)
        return received

    def swap_json(self, value: object) -> Any:
        bytes_sent = self.link.send_json(value)
        received, bytes_received = self.link.receive_json()
        self.meter.record(rounds=1, bytes_sent=bytes_sent, bytes_received=bytes_received)
        return received


def as_bytes(tensor: torch.Tensor) -> memoryview:
    """The memory of a CPU tensor, little-endian as on every platform of PyTorch; copied if not contiguous."""
    return tensor.contiguous().numpy().reshape(-1).view(np.uint8).data
