"""The channel between the two parties: tensors of agreed size and short JSON messages, every byte counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from smule_crypten.transport.link import Link
from smule_crypten.transport.meter import CostMeter


class Channel(ABC):
    """A reliable, ordered link to the one other party.

    Every method is one round, but for `post` and `take_arrived`, which nobody waits for; all raise PeerError or
    ProtocolError, see transport/link.py.
    """

    rank: int
    meter: CostMeter

    @abstractmethod
    def transfer(
        self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor], *, continues: bool = False
    ) -> None:
        """Send outgoing and fill incoming, both at once, so that parties that both send cannot block each other.

        Args:
            incoming: contiguous tensors of the sizes that the other party sends.
            continues: this is the rest of the last round.
        """

    @abstractmethod
    def post(self, tensor: torch.Tensor) -> None:
        """Let a tensor leave while this party goes on; it must stay as it is until the next `transfer` or JSON."""

    @abstractmethod
    def take_arrived(self, num_bytes: int) -> torch.Tensor | None:
        """The next tensor of the other party, uint8 (num_bytes,), if all of it has come; None otherwise."""

    @abstractmethod
    def send_json(self, value: object) -> None:
        """Send a JSON value."""

    @abstractmethod
    def receive_json(self) -> Any:
        """Receive a JSON value."""

    @abstractmethod
    def swap_json(self, value: object) -> Any:
        """Send a JSON value and receive the other party's."""

    def swap(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Send tensors and receive the other party's, of the same shapes and types."""
        received = [torch.empty(tensor.shape, dtype=tensor.dtype) for tensor in tensors]
        self.transfer(tensors, received)
        return received

    def send(self, tensor: torch.Tensor) -> None:
        """Send one tensor."""
        self.transfer([tensor], [])

    def receive(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Receive one tensor."""
        received = torch.empty(tuple(shape), dtype=dtype)
        self.transfer([], [received])
        return received


class LinkChannel(Channel):
    """A channel over an authenticated, encrypted link."""

    def __init__(self, link: Link, rank: int, meter: CostMeter) -> None:
        self.link = link
        self.rank = rank
        self.meter = meter

    def transfer(
        self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor], *, continues: bool = False
    ) -> None:
        if not outgoing and not incoming:
            return
        self.link.transfer([as_bytes(tensor) for tensor in outgoing], [as_bytes(tensor) for tensor in incoming])
        self.meter.record(
            rounds=0 if continues else 1,
            bytes_sent=sum(tensor.nbytes for tensor in outgoing),
            bytes_received=sum(tensor.nbytes for tensor in incoming),
        )

    def post(self, tensor: torch.Tensor) -> None:
        self.link.post(as_bytes(tensor))
        self.meter.record(bytes_sent=tensor.nbytes)

    def take_arrived(self, num_bytes: int) -> torch.Tensor | None:
        tensor = torch.empty(num_bytes, dtype=torch.uint8)
        if not self.link.take_arrived(as_bytes(tensor)):
            return None
        self.meter.record(bytes_received=num_bytes)
        return tensor

    def send_json(self, value: object) -> None:
        self.meter.record(rounds=1, bytes_sent=self.link.send_json(value))

    def receive_json(self) -> Any:
        value, bytes_received = self.link.receive_json()
        self.meter.record(rounds=1, bytes_received=bytes_received)
        return value

    def swap_json(self, value: object) -> Any:
        bytes_sent = self.link.send_json(value)
        received, bytes_received = self.link.receive_json()
        self.meter.record(rounds=1, bytes_sent=bytes_sent, bytes_received=bytes_received)
        return received


def as_bytes(tensor: torch.Tensor) -> memoryview:
    """The memory of a CPU tensor, little-endian as on every platform of PyTorch; copied if not contiguous."""
    return tensor.detach().contiguous().numpy().reshape(-1).view(np.uint8).data
