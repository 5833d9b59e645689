from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import Any

import pytest
import torch
from tensor_channel import TensorChannel
from torch.distributed import ReduceOp

from smule_crypten.errors import ProtocolError
from smule_crypten.mpc.communicator import TwoPartyCommunicator
from smule_crypten.types import Cost


class MemoryChannel(TensorChannel):
    """One end of a link in memory."""

    def __init__(self, rank: int, outgoing: Queue[list[torch.Tensor]], incoming: Queue[list[torch.Tensor]]) -> None:
        super().__init__(rank)
        self._outgoing = outgoing
        self._incoming = incoming

    def transfer(self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor]) -> None:
        if outgoing:
            self._outgoing.put([tensor.clone() for tensor in outgoing])
        if incoming:
            for target, tensor in zip(incoming, self._incoming.get(timeout=10), strict=True):
                assert (target.shape, target.dtype) == (tensor.shape, tensor.dtype)
                target.copy_(tensor)
        self.count(outgoing, incoming, rounds=1)


@pytest.fixture
def channels() -> tuple[MemoryChannel, MemoryChannel]:
    to_a: Queue[list[torch.Tensor]] = Queue()
    to_b: Queue[list[torch.Tensor]] = Queue()
    return MemoryChannel(0, to_b, to_a), MemoryChannel(1, to_a, to_b)


Both = Callable[[Callable[[TwoPartyCommunicator], Any]], list[Any]]


@pytest.fixture
def both(channels: tuple[MemoryChannel, MemoryChannel]) -> Iterator[Both]:
    """Runs a function with the communicators of both parties at once; the results of party a and party b."""
    with ThreadPoolExecutor(2) as pool:
        yield lambda function: list(pool.map(function, map(TwoPartyCommunicator, channels)))


SHARES = torch.tensor([[5, -7, 2**63 - 1], [6, 0, 1]])
"""Row r is what party r holds; the last sum wraps around the ring."""


@pytest.mark.parametrize(
    ("op", "expected"), [(ReduceOp.SUM, [11, -7, -(2**63)]), (ReduceOp.BXOR, [3, -7, 2**63 - 2])], ids=["sum", "xor"]
)
def test_all_reduce(both: Both, op: Any, expected: list[int]) -> None:
    """Both parties learn the same result, in the ring of 2^64 elements."""
    results = both(lambda c: c.all_reduce(SHARES[c.get_rank()], op))
    assert [result.tolist() for result in results] == [expected, expected]


def test_batch_is_one_round(both: Both, channels: tuple[MemoryChannel, MemoryChannel]) -> None:
    """Tensors that are opened together cost one round, whatever their number and shapes."""
    results = both(lambda c: c.all_reduce([SHARES[c.get_rank()], SHARES[c.get_rank(), :1]], batched=True))
    assert [[part.tolist() for part in result] for result in results] == [[[11, -7, -(2**63)], [11]]] * 2
    assert [channel.meter.total() for channel in channels] == [Cost(rounds=1, bytes_sent=32, bytes_received=32)] * 2


@pytest.mark.parametrize("dst", [0, 1])
def test_reduce_tells_one_party_only(both: Both, channels: tuple[MemoryChannel, MemoryChannel], dst: int) -> None:
    """The other party gets None and receives not one byte (gloo's reduce leaves half of the sum with it)."""
    results = both(lambda c: c.reduce(SHARES[c.get_rank()], dst))
    assert results[dst].tolist() == [11, -7, -(2**63)]
    assert results[1 - dst] is None
    assert channels[dst].meter.total() == Cost(rounds=1, bytes_received=24)
    assert channels[1 - dst].meter.total() == Cost(rounds=1, bytes_sent=24)


def test_batched_reduce(both: Both) -> None:
    """A batch arrives part by part, in its order."""
    (first, second), nothing = both(
        lambda c: c.reduce([SHARES[c.get_rank()], SHARES[c.get_rank(), :1]], 0, ReduceOp.BXOR, batched=True)
    )
    assert (first.tolist(), second.tolist(), nothing) == ([3, -7, 2**63 - 2], [3], None)


def test_inputs_are_left_alone(both: Both) -> None:
    """CrypTen goes on using the share that it opened."""
    before = SHARES.clone()
    both(lambda c: c.all_reduce(SHARES[c.get_rank()]))
    both(lambda c: c.reduce(SHARES[c.get_rank()], 0))
    assert torch.equal(SHARES, before)


@pytest.mark.parametrize("op", [ReduceOp.PRODUCT, ReduceOp.MAX, ReduceOp.MIN, ReduceOp.BAND, ReduceOp.AVG, None])
@pytest.mark.parametrize("rank", [0, 1])
def test_other_reductions_are_refused(channels: tuple[MemoryChannel, MemoryChannel], rank: int, op: Any) -> None:
    """A reduction that means nothing on shares fails at both parties, before anything is sent."""
    communicator = TwoPartyCommunicator(channels[rank])
    with pytest.raises(ProtocolError, match="use SUM or BXOR"):
        communicator.all_reduce(SHARES[rank], op)
    with pytest.raises(ProtocolError, match="use SUM or BXOR"):
        communicator.reduce(SHARES[rank], 0, op)
    assert channels[rank].meter.total() == Cost()
