"""CrypTen's Communicator over a Channel, for two parties.

CrypTen's own communicator uses gloo collectives, and reduce(dst=...) over gloo leaves about half of the sum in the
buffer of the party that should not learn it. Here a reduction to one party is a message to that party, who adds; a
reduction to both is one crossing message each way. Names, arguments and what happens to them are CrypTen's; its
objects travel as JSON instead of pickle, and its counters are those of the session's meter, always on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.distributed import ReduceOp

from smule_crypten.errors import ProtocolError
from smule_crypten.mpc import plaindata
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.messages import MessageQueue, PendingMessage, empty_like
from smule_crypten.transport.channel import Channel


class TwoPartyCommunicator(crypten.communicator.Communicator):  # type: ignore[misc]
    """CrypTen's communicator between party a (rank 0) and party b (rank 1).

    Raises:
        PeerError: the other party is gone or silent.
        ProtocolError: the two parties do not call for the same operation, or a party calls for one that cannot be.
    """

    BYTES_PER_ELEMENT = 8

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._name = f"rank{channel.rank}"
        self._queue = MessageQueue(channel)
        self.reset_communication_stats()

    def get_rank(self) -> int:
        return self._channel.rank

    def get_world_size(self) -> int:
        return 2

    def set_name(self, name: str) -> None:
        self._name = name

    def get_name(self) -> str:
        return self._name

    # -- from one party to the other ---------------------------------------------------------------------------------

    def send(self, tensor: Any, dst: int) -> None:
        """Send to dst, the other party."""
        self._check_peer(dst)
        self._queue.transfer([tensor.data], [])

    def recv(self, tensor: Any, src: int | None = None) -> Any:
        """A new tensor like `tensor` with what src, the other party, sends."""
        self._check_peer(src)
        received = empty_like(tensor)
        self._queue.transfer([], [received])
        return received

    def isend(self, tensor: Any, dst: int) -> PendingMessage:
        """Send without waiting; tensor must not change before wait()."""
        self._check_peer(dst)
        return self._queue.post_send(tensor.data)

    def irecv(self, tensor: Any, src: int | None = None) -> PendingMessage:
        """Receive into tensor itself, which is ready after wait()."""
        self._check_peer(src)
        return self._queue.post_receive(tensor.data)

    def send_obj(self, obj: Any, dst: int, group: None = None) -> None:
        """Send plain data (mpc/plaindata.py) to dst, the other party."""
        _check_group(group)
        self._check_peer(dst)
        self._queue.send_json(plaindata.to_json(obj))

    def recv_obj(self, src: int, group: None = None) -> Any:
        """Receive plain data from src, the other party."""
        _check_group(group)
        self._check_peer(src)
        return plaindata.from_json(self._queue.receive_json())

    # -- collectives ---------------------------------------------------------------------------------------------------

    def scatter(self, scatter_list: Any, src: int, size: Any = None, device: object = None) -> Any:
        """Each party gets its element of src's list, int64; the other party says size or gives a list of like shape."""
        _check_party(src)
        if self.get_rank() == src:
            if any(tensor.dtype != torch.int64 for tensor in scatter_list):
                raise ProtocolError("scatter is defined for int64 tensors; send others one by one")
            self._queue.transfer([scatter_list[1 - src].data], [])
            return scatter_list[src].data
        received = torch.empty(scatter_list[self.get_rank()].shape if size is None else size, dtype=torch.int64)
        self._queue.transfer([], [received])
        return received

    def reduce(self, input: Any, dst: int, op: Any = ReduceOp.SUM, batched: bool = False) -> Any:
        """Only dst learns the sum (or XOR); the other party sends its share, receives nothing and gets None."""
        _check_party(dst)
        combine = _combination(op)
        own = _as_list(input, batched)
        if self.get_rank() != dst:
            self._queue.transfer(own, [])
            return None
        theirs = [empty_like(share) for share in own]
        self._queue.transfer([], theirs)
        results = [combine(mine, other) for mine, other in zip(own, theirs, strict=True)]
        return results if batched else results[0]

    def all_reduce(self, input: Any, op: Any = ReduceOp.SUM, batched: bool = False) -> Any:
        """Both parties learn the sum (or XOR) of both inputs: one round, also for a batch."""
        combine = _combination(op)
        own = _as_list(input, batched)
        theirs = [empty_like(share) for share in own]
        self._queue.transfer(own, theirs)
        results = [combine(mine, other) for mine, other in zip(own, theirs, strict=True)]
        return results if batched else results[0]

    def gather(self, tensor: Any, dst: int) -> list[Any]:
        """`dst` gets the tensors of party a and party b, of one shape; the other party gets [None]."""
        _check_party(dst)
        if self.get_rank() != dst:
            self._queue.transfer([tensor.data], [])
            return [None]
        theirs = empty_like(tensor)
        self._queue.transfer([], [theirs])
        return self._in_order(tensor.data.clone(), theirs)

    def all_gather(self, tensor: Any) -> list[Any]:
        """The tensors of party a and party b, of one shape."""
        theirs = empty_like(tensor)
        self._queue.transfer([tensor.data], [theirs])
        return self._in_order(tensor.data.clone(), theirs)

    def broadcast(self, input: Any, src: int, group: None = None, batched: bool = False) -> Any:
        """Overwrite the other party's input with src's, and return it."""
        _check_group(group)
        _check_party(src)
        tensors = _as_list(input, batched)
        if self.get_rank() == src:
            self._queue.transfer(tensors, [])
        else:
            received = [empty_like(tensor) for tensor in tensors]
            self._queue.transfer([], received)
            for tensor, value in zip(tensors, received, strict=True):
                tensor.copy_(value)
        return input

    def broadcast_obj(self, obj: Any, src: int, group: None = None) -> Any:
        """`src`'s plain data at both parties."""
        _check_party(src)
        if self.get_rank() != src:
            return self.recv_obj(src, group)
        self.send_obj(obj, 1 - src, group)
        return obj

    def barrier(self) -> None:
        """Return once both parties have come here: an empty message each way."""
        self._queue.transfer([torch.empty(0)], [torch.empty(0)])

    # -- CrypTen's counters -------------------------------------------------------------------------------------------

    def reset_communication_stats(self) -> None:
        self._counted_before = self._channel.meter.total()
        self._queue.seconds = 0.0

    def get_communication_stats(self) -> dict[str, Any]:
        """Rounds, bytes (sent plus received) and seconds since the last reset."""
        counted = self._channel.meter.total() - self._counted_before
        return {"rounds": counted.rounds, "bytes": counted.bytes_total, "time": self._queue.seconds}

    def print_communication_stats(self) -> None:
        stats = self.get_communication_stats()
        crypten.log(f"Rounds: {stats['rounds']}, bytes: {stats['bytes']}, communication time: {stats['time']:.3f} s")

    def _in_order(self, own: torch.Tensor, theirs: torch.Tensor) -> list[torch.Tensor]:
        return [own, theirs] if self.get_rank() == 0 else [theirs, own]

    def _check_peer(self, rank: int | None) -> None:
        own = self.get_rank()
        if rank is not None and rank != 1 - own:
            raise ProtocolError(f"rank {own} exchanges messages with rank {1 - own}, not with rank {rank}")


def _combination(op: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    if op == ReduceOp.SUM:
        return torch.add
    if op == ReduceOp.BXOR:
        return torch.bitwise_xor
    raise ProtocolError(f"a reduction by {op} is not defined on shares; use SUM or BXOR")


def _check_party(rank: int) -> None:
    if rank not in (0, 1):
        raise ProtocolError(f"there is no party of rank {rank}; party a is 0 and party b is 1")


def _check_group(group: object) -> None:
    if group is not None:
        raise ProtocolError("there are no groups between two parties; leave group out")


def _as_list(input: Any, batched: bool) -> list[torch.Tensor]:
    return [tensor.data for tensor in input] if batched else [input.data]
