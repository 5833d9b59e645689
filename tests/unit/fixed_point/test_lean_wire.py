"""Two directions in step over a channel that is two queues."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lean_harness import Direction, direction, lean_config
from lean_networks import NETWORKS, SHAPE
from tensor_channel import TensorChannel

from smule_crypten.errors import PeerError, ProtocolError
from smule_crypten.fixed_point.wire import Post, Role, Script, Want, play
from smule_crypten.inference.lean.cost import direction_cost
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.transport.meter import CostMeter

Said = tuple[bool, int]
"""Whether the model owner says it, and its bytes."""

Tensors = queue.Queue[torch.Tensor | None]
"""None: the one who sends has left."""


class QueueChannel(TensorChannel):
    """One end of two queues of tensors."""

    def __init__(
        self, rank: int, queues: tuple[queue.Queue[torch.Tensor | None], queue.Queue[torch.Tensor | None]]
    ) -> None:
        super().__init__(rank)
        self.outgoing, self.incoming = queues[rank], queues[1 - rank]

    def transfer(
        self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor], *, continues: bool = False
    ) -> None:
        for tensor in outgoing:
            self.outgoing.put(tensor.clone())
        for tensor in incoming:
            received = self.incoming.get(timeout=20)
            if received is None:
                raise PeerError("the peer has left")
            if received.nbytes != tensor.nbytes:
                self.outgoing.put(None)
                raise ProtocolError(f"it sent {received.nbytes} bytes where {tensor.nbytes} were due")
            tensor.copy_(received)
        self.count(outgoing, incoming, rounds=0 if continues else 1)


class Reader:
    """Plays one side of a list of messages; each holds its number in all of its bytes. Returns what it heard."""

    def __init__(self, is_model_owner: bool, messages: list[Said], wrong: int = 0) -> None:
        self.outbox: list[Post] = []
        self._is_model_owner, self._messages, self._wrong = is_model_owner, messages, wrong

    def run(self) -> Script:
        heard = [-1]
        for number, (by_model_owner, size) in enumerate(self._messages):
            if by_model_owner is self._is_model_owner:
                self.outbox.append(Post("layer", torch.full((size,), number, dtype=torch.uint8)))
            else:
                data = yield Want("layer", size + self._wrong)
                assert data.dtype == torch.uint8
                assert data.tolist() == [number] * size
                heard.append(number)
        return torch.tensor(heard)


def exchange(roles: tuple[tuple[Role, Role], tuple[Role, Role]]) -> tuple[list[torch.Tensor], list[CostMeter]]:
    """Both parties at once; roles are (model owner, data owner) of each. Their results and meters."""
    queues: Any = queue.Queue(), queue.Queue()
    channels = [QueueChannel(rank, queues) for rank in (0, 1)]
    sessions: list[Any] = [SimpleNamespace(channel=channel, meter=channel.meter) for channel in channels]
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(play, sessions[rank], *roles[rank]) for rank in (0, 1)]
        results = [future.result() for future in running]
    assert queues[0].empty()
    assert queues[1].empty()
    return results, [channel.meter for channel in channels]


def readers(first: list[Said], second: list[Said]) -> tuple[tuple[Role, Role], tuple[Role, Role]]:
    """Party a's network answers in `first`, party b's in `second`."""
    return (Reader(True, first), Reader(False, second)), (Reader(True, second), Reader(False, first))


def turns(messages: list[Said]) -> int:
    """How often the word passes from one to the other, which begins at the model owner."""
    speakers = [True, *(who for who, _ in messages)]
    changes = sum(a is not b for a, b in pairwise(speakers))
    return changes + 1 if messages else 0


MESSAGES = st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=12).map(
    lambda rest: [(True, 1), *rest] if rest else []
)


@given(MESSAGES, MESSAGES)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_everything_arrives_in_step(first: list[Said], second: list[Said]) -> None:
    """Directions of any shape and of unequal length, empty ones among them: every message reaches the role that waits
    for it, and an exchange takes as many rounds as the longer direction has turns.
    """
    results, meters = exchange(readers(first, second))
    for result, messages in zip(results, (second, first), strict=True):
        assert result.tolist() == [-1, *(number for number, (who, _) in enumerate(messages) if who)]
    for meter in meters:
        assert meter.total().rounds == max(turns(first), turns(second))
    sent = sum(size for who, size in first if who) + sum(size for who, size in second if not who)
    assert meters[0].total().bytes_sent == meters[1].total().bytes_received == sent
    by_layer = meters[0].by_layer.get("layer")
    assert (by_layer.bytes_sent if by_layer else 0) == sent


def test_both_directions_share_a_round() -> None:
    """Two directions of four turns cost four rounds, not eight."""
    messages = [(True, 5), (False, 3), (True, 2), (False, 1)]
    _, meters = exchange(readers(messages, messages))
    assert [meter.total().rounds for meter in meters] == [4, 4]


def test_nothing_to_ask() -> None:
    """Two empty directions say nothing and cost nothing."""
    results, meters = exchange(readers([], []))
    assert [result.tolist() for result in results] == [[-1], [-1]]
    assert [meter.total().rounds for meter in meters] == [0, 0]


@pytest.mark.parametrize("wrong", [-1, 1])
def test_wrong_size(wrong: int) -> None:
    """A peer that sends another number of bytes than is due is an error of the protocol, not a guess."""
    messages = [(True, 5), (False, 3)]
    roles: Any = (Reader(True, []), Reader(False, messages, wrong)), (Reader(True, messages), Reader(False, []))
    with pytest.raises(ProtocolError, match="5 bytes"):
        exchange(roles)


def one_way(name: str, count: int, seed: int) -> Direction:
    torch.manual_seed(seed)
    x = torch.randn(count, *SHAPE)
    known = torch.randn(8, *SHAPE)
    return direction(NETWORKS[name](), x, lean_config(micro_batch=2), seed=seed, calibration_NX=known)


@pytest.mark.parametrize(
    ("first", "second"),
    [(("conv_relu", 3), ("conv_relu", 3)), (("max_pool_signed", 5), ("linear", 1)), (("residual", 2), ("mlp", 0))],
)
def test_networks_in_step(first: tuple[str, int], second: tuple[str, int]) -> None:
    """Two different networks on unequal numbers of samples: the rounds and bytes of the exchange at either party are
    those that `cost_of` and `combine` state, and the answers are those of each direction alone.
    """
    alone = [one_way(*case, seed=seed).run()[0] for seed, case in enumerate((first, second))]
    a, b = (one_way(*case, seed=seed) for seed, case in enumerate((first, second)))
    results, meters = exchange(((a.model_owner, b.data_owner), (b.model_owner, a.data_owner)))
    assert torch.equal(results[0], alone[1])
    assert torch.equal(results[1], alone[0])
    costs = [direction_cost(each.program, each.batches) for each in (a, b)]
    for rank, meter in enumerate(meters):
        predicted = LeanScheme.combine(costs[1 - rank].data_owner, costs[rank].model_owner)
        measured = meter.total()
        assert (measured.rounds, measured.bytes_sent, measured.bytes_received) == (
            predicted.rounds,
            predicted.bytes_sent,
            predicted.bytes_received,
        )
