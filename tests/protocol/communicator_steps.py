"""Every operation of a communicator, run in the same way on ours and on CrypTen's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from steps import stock_communicator
from torch.distributed import ReduceOp

from smule_crypten.errors import ProtocolError
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.session import Session
from smule_crypten.types import Cost

Outcome = list[Any]
"""What an operation returned, and after it each argument that it might have changed."""

PLAIN_DATA = (
    None,
    True,
    -3,
    2.5,
    "päckchen",
    [1, [2, (3,)]],
    (1, "a", None),
    {"b": [1, 2], "a": {"size": torch.Size([2, 3])}},
    torch.Size([4, 0, 5]),
)


def tensor_of(rank: int, shape: tuple[int, ...] = (2, 3)) -> torch.Tensor:
    """Elements of the ring that differ between the parties and wrap around when they are added."""
    generator = torch.Generator().manual_seed(100 + rank)
    return torch.randint(-(2**63), 2**63 - 1, shape, generator=generator)


def _to_b(c: Any) -> Outcome:
    tensor = tensor_of(c.get_rank())
    return [c.send(tensor, 1) if c.get_rank() == 0 else c.recv(tensor, 0), tensor]


def _to_a_from_anyone(c: Any) -> Outcome:
    tensor = tensor_of(c.get_rank())
    return [c.recv(tensor) if c.get_rank() == 0 else c.send(tensor, 0), tensor]


def _transposed(c: Any) -> Outcome:
    """A tensor whose elements do not follow each other in memory."""
    tensor = tensor_of(c.get_rank()).t().contiguous().t()
    return [c.send(tensor.contiguous(), 1) if c.get_rank() == 0 else c.recv(tensor.contiguous(), 0), tensor]


def _crossing(c: Any) -> Outcome:
    own, theirs = tensor_of(c.get_rank()), torch.zeros(2, 3, dtype=torch.int64)
    request, awaited = c.isend(own, 1 - c.get_rank()), c.irecv(theirs, 1 - c.get_rank())
    for pending in (request, awaited):
        pending.wait()
    return [request.is_completed(), awaited.is_completed(), own, theirs]


def _isend_before_recv(c: Any) -> Outcome:
    own, peer = tensor_of(c.get_rank()), 1 - c.get_rank()
    request = c.isend(own, peer)
    received = c.recv(own, peer)
    request.wait()
    return [received, own]


def _irecv_in_order(c: Any) -> Outcome:
    first, second = (torch.zeros(2, dtype=torch.int64) for _ in range(2))
    if c.get_rank() == 0:
        c.send(tensor_of(0, (2,)), 1)
        c.recv(first, 1)
        c.send(tensor_of(1, (2,)), 1)
        return []
    pending = [c.irecv(first, 0), c.irecv(second, 0)]
    pending[0].wait()
    c.send(first, 0)
    pending[1].wait()
    return [first, second]


def _scatter_by_list(c: Any) -> Outcome:
    values = [tensor_of(c.get_rank(), (3,)), tensor_of(10 + c.get_rank(), (3,))]
    return [c.scatter(values, 0), *values]


def _scatter_by_size(c: Any) -> Outcome:
    values = [tensor_of(0, (2, 2)), tensor_of(1, (2, 2))] if c.get_rank() == 1 else None
    return [c.scatter(values, 1, size=(2, 2))]


def _reduction(op: Any, dst: int | None, batched: bool) -> Callable[[Any], Outcome]:
    def run(c: Any) -> Outcome:
        rank = c.get_rank()
        value: Any = [tensor_of(rank), tensor_of(rank, ()), tensor_of(rank, (4,))] if batched else tensor_of(rank)
        keywords = {"op": op, "batched": batched}
        result = c.all_reduce(value, **keywords) if dst is None else c.reduce(value, dst, **keywords)
        return [result, value]

    return run


def _gather(c: Any) -> Outcome:
    tensor = tensor_of(c.get_rank())
    return [c.gather(tensor, 1), tensor]


def _all_gather(c: Any) -> Outcome:
    tensor = tensor_of(c.get_rank())
    return [c.all_gather(tensor), tensor]


def _broadcast(c: Any) -> Outcome:
    tensor = tensor_of(c.get_rank())
    result = c.broadcast(tensor, 1)
    return [result, result is tensor]


def _broadcast_batched(c: Any) -> Outcome:
    tensors = [tensor_of(c.get_rank()), tensor_of(c.get_rank(), (4,))]
    result = c.broadcast(tensors, 0, batched=True)
    return [result, result is tensors]


def _floats(c: Any) -> Outcome:
    tensor = tensor_of(c.get_rank()).double()
    return [c.all_reduce(tensor), c.broadcast(tensor.float(), 0)]


def _objects(c: Any) -> Outcome:
    if c.get_rank() == 0:
        for value in PLAIN_DATA:
            c.send_obj(value, 1)
        return [c.recv_obj(1)]
    received = [c.recv_obj(0) for _ in PLAIN_DATA]
    c.send_obj(len(received), 0)
    return received


def _broadcast_obj(c: Any) -> Outcome:
    return [c.broadcast_obj(torch.Size([1, 2]) if c.get_rank() == 1 else None, 1)]


def _barrier(c: Any) -> Outcome:
    return [c.barrier()]


OPERATIONS: dict[str, Callable[[Any], Outcome]] = {
    "send and recv": _to_b,
    "recv from anyone": _to_a_from_anyone,
    "send a transposed tensor": _transposed,
    "isend and irecv": _crossing,
    "isend, then recv": _isend_before_recv,
    "irecv in order": _irecv_in_order,
    "scatter by list": _scatter_by_list,
    "scatter by size": _scatter_by_size,
    "all_reduce SUM": _reduction(ReduceOp.SUM, None, False),
    "all_reduce BXOR": _reduction(ReduceOp.BXOR, None, False),
    "all_reduce batched": _reduction(ReduceOp.SUM, None, True),
    "reduce SUM": _reduction(ReduceOp.SUM, 0, False),
    "reduce BXOR": _reduction(ReduceOp.BXOR, 1, False),
    "reduce batched": _reduction(ReduceOp.BXOR, 1, True),
    "gather": _gather,
    "all_gather": _all_gather,
    "broadcast": _broadcast,
    "broadcast batched": _broadcast_batched,
    "floats": _floats,
    "send_obj and recv_obj": _objects,
    "broadcast_obj": _broadcast_obj,
    "barrier": _barrier,
}


def run_on_both(session: Session) -> dict[str, tuple[Outcome, Outcome, Cost]]:
    """Each operation's outcome on ours and on gloo, and what ours cost."""
    ours, outcomes = crypten.communicator.get(), {}
    with stock_communicator(session) as stock:
        for name, operation in OPERATIONS.items():
            before = session.meter.total()
            outcome = operation(ours)
            cost = session.meter.total() - before
            outcomes[name] = outcome, operation(stock), cost
    return outcomes


def cross_large_tensors(session: Session, num_elements: int) -> bool:
    """Both parties send first and receive afterwards, far more than any buffer holds."""
    c, rank = crypten.communicator.get(), session.rank
    theirs = torch.empty(num_elements, dtype=torch.int64)
    sent, received = c.isend(torch.full((num_elements,), rank), 1 - rank), c.irecv(theirs, 1 - rank)
    sent.wait()
    received.wait()
    return bool((theirs == 1 - rank).all())


def poll(session: Session) -> list[int]:
    """Wait for a message in the way of a loop that asks whether it is there."""
    c, rank = crypten.communicator.get(), session.rank
    theirs = torch.zeros(1, dtype=torch.int64)
    pending = [c.irecv(theirs, 1 - rank), c.isend(torch.tensor([10 + rank]), 1 - rank)]
    while not all(message.is_completed() for message in pending):
        pass
    return theirs.tolist()


def misuse(session: Session) -> tuple[list[str], Cost]:
    """Calls that cannot be carried out: how each ended, and what was sent in all of them."""
    c, x, peer = crypten.communicator.get(), torch.zeros(2), 1 - session.rank
    calls: list[Callable[[], Any]] = [
        lambda: c.all_reduce(x, op=ReduceOp.PRODUCT),
        lambda: c.reduce(x, 0, op=ReduceOp.MAX),
        lambda: c.reduce([x], 0, op=ReduceOp.BAND, batched=True),
        lambda: c.send(x, session.rank),
        lambda: c.recv(x, 2),
        lambda: c.isend(x, -1),
        lambda: c.irecv(x, session.rank),
        lambda: c.gather(x, 2),
        lambda: c.reduce(x, 2),
        lambda: c.broadcast(x, 2),
        lambda: c.broadcast(x, 0, group=7),
        lambda: c.scatter([x, x], session.rank),
        lambda: c.send_obj(x, peer),
        lambda: c.send_obj({1: "key is not a string"}, peer),
        lambda: c.send_obj({"function": print}, peer),
        lambda: c.broadcast_obj({1, 2}, session.rank),
    ]
    before = session.meter.total()
    return [_ending(call) for call in calls], session.meter.total() - before


def _ending(call: Callable[[], Any]) -> str:
    try:
        call()
    except ProtocolError as error:
        return str(error)
    return "accepted"


def send_other_size(session: Session) -> str:
    """Party b sends fewer elements than party a waits for; how party a's wait ended."""
    c = crypten.communicator.get()
    if session.rank == 0:
        return _ending(lambda: c.recv(torch.zeros(3), 1))
    c.send(torch.zeros(2), 0)
    return "sent"


def send_raw_json(session: Session, message: object) -> str:
    """Party a sends JSON that no send_obj makes; how recv_obj ended at party b."""
    c = crypten.communicator.get()
    if session.rank == 1:
        return _ending(lambda: c.recv_obj(0))
    session.channel.send_json(message)
    return "sent"


def wait_for_the_answer_last(session: Session) -> list[int]:
    """Party a posts the receive of an answer before it sends the two questions that the answer is made of."""
    c, answer = crypten.communicator.get(), torch.zeros(1, dtype=torch.int64)
    if session.rank == 1:
        c.send(c.recv(answer, 0) + c.recv(answer, 0), 0)
        return []
    question = torch.tensor([3])
    awaited, sent = c.irecv(answer, 1), c.isend(question, 1)
    sent.wait()
    question += 1
    c.send(question, 1)
    awaited.wait()
    return answer.tolist()
