"""The link between the two parties: tensors of agreed size, and short JSON messages. No pickle.

`Channel` is what the rest of the runtime relies on. `GlooChannel` runs over torch.distributed on one machine; it is
neither encrypted nor authenticated, so it serves simulation only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

import torch
import torch.distributed as dist

from smule_crypten.errors import PeerDisconnectedError, PeerError, PeerTimeoutError, ProtocolError
from smule_crypten.mpc.meter import CostMeter
from smule_crypten.types import PARTY_NAMES

MAX_JSON_BYTES = 4 << 20
_LENGTH_BYTES = 8


class Channel(Protocol):
    """A reliable, ordered link to the one other party. Every call waits at most the deadline.

    Raises:
        PeerDisconnectedError, PeerTimeoutError: from every method.
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
        """Send a JSON value and receive the other party's: two rounds (lengths, then contents)."""
        ...


class GlooChannel:
    """Point-to-point messages over an initialised torch.distributed process group of two."""

    def __init__(self, meter: CostMeter, deadline_seconds: float) -> None:
        self.rank = dist.get_rank()
        self.meter = meter
        self._peer = 1 - self.rank
        self._deadline = timedelta(seconds=deadline_seconds)

    def swap(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        outgoing = [tensor.contiguous() for tensor in tensors]
        received = [torch.empty_like(tensor) for tensor in outgoing]
        self._transfer(outgoing, received)
        num_bytes = sum(tensor.nbytes for tensor in outgoing)
        self.meter.record(rounds=1, bytes_sent=num_bytes, bytes_received=num_bytes)
        return received

    def send(self, tensor: torch.Tensor) -> None:
        outgoing = tensor.contiguous()
        self._transfer([outgoing], [])
        self.meter.record(rounds=1, bytes_sent=outgoing.nbytes)

    def receive(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        received = torch.empty(*shape, dtype=dtype)
        self._transfer([], [received])
        self.meter.record(rounds=1, bytes_received=received.nbytes)
        return received

    def swap_json(self, value: object) -> Any:
        data = json.dumps(value).encode()
        if len(data) > MAX_JSON_BYTES:
            raise ProtocolError(f"a control message of {len(data)} bytes is over the limit of {MAX_JSON_BYTES}")
        (length,) = self.swap([torch.tensor([len(data)])])
        num_bytes = int(length)
        if not 0 < num_bytes <= MAX_JSON_BYTES:
            raise ProtocolError(f"{self._peer_name} announced a control message of {num_bytes} bytes")
        received = torch.empty(num_bytes, dtype=torch.uint8)
        self._transfer([torch.frombuffer(bytearray(data), dtype=torch.uint8)], [received])
        self.meter.record(rounds=1, bytes_sent=len(data), bytes_received=num_bytes)
        try:
            return json.loads(received.numpy().tobytes())
        except ValueError as error:
            raise ProtocolError(f"{self._peer_name} sent a control message that is not JSON: {error}") from error

    @property
    def _peer_name(self) -> str:
        return f"party {PARTY_NAMES[self._peer]}"

    def _transfer(self, outgoing: list[torch.Tensor], incoming: list[torch.Tensor]) -> None:
        try:
            pending = [dist.isend(tensor, self._peer) for tensor in outgoing if tensor.numel()]
            pending += [dist.irecv(tensor, self._peer) for tensor in incoming if tensor.numel()]
            for work in pending:
                if work is not None:
                    work.wait(self._deadline)
        except (RuntimeError, ValueError) as error:
            raise peer_error(error, self._peer_name, self._deadline.total_seconds()) from error


def peer_error(error: Exception, peer: str, deadline_seconds: float) -> PeerError:
    """The one place where errors of torch.distributed become ours."""
    text = str(error).lower()
    if "timed out" in text or "timeout" in text:
        return PeerTimeoutError(
            f"{peer} did not answer within {deadline_seconds:g} seconds; see its output, or raise "
            "launch.deadline_seconds"
        )
    return PeerDisconnectedError(f"{peer} closed the connection; see its output for the cause")
