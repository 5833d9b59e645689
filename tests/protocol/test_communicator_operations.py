"""Every operation of CrypTen's communicator between two processes: the same as over gloo, and counted exactly."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from communicator_steps import (
    OPERATIONS,
    PLAIN_DATA,
    Outcome,
    cross_large_tensors,
    misuse,
    poll,
    run_on_both,
    send_other_size,
    send_raw_json,
    wait_for_the_answer_last,
)

from smule_crypten.mpc.communicator import TwoPartyCommunicator
from smule_crypten.mpc.compat import crypten
from smule_crypten.testing import PartyPool
from smule_crypten.types import Cost

Outcomes = list[dict[str, tuple[Outcome, Outcome, Cost]]]


@pytest.fixture(scope="module")
def outcomes(pool: PartyPool) -> Outcomes:
    return pool.run(run_on_both)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_agrees_with_gloo(outcomes: Outcomes, name: str) -> None:
    """Protects: results, and what happens to the arguments, are those of CrypTen's own communicator."""
    for of_party in outcomes:
        ours, over_gloo, _ = of_party[name]
        assert _comparable(ours) == _comparable(over_gloo)


@pytest.mark.parametrize(
    ("name", "at_a", "at_b"),
    [
        ("send and recv", (1, 48, 0), (1, 0, 48)),
        ("isend and irecv", (1, 48, 48), (1, 48, 48)),
        ("isend, then recv", (1, 48, 48), (1, 48, 48)),
        ("irecv in order", (3, 32, 16), (3, 16, 32)),
        ("scatter by list", (1, 24, 0), (1, 0, 24)),
        ("scatter by size", (1, 0, 32), (1, 32, 0)),
        ("all_reduce SUM", (1, 48, 48), (1, 48, 48)),
        ("all_reduce batched", (1, 88, 88), (1, 88, 88)),
        ("reduce SUM", (1, 0, 48), (1, 48, 0)),
        ("reduce batched", (1, 88, 0), (1, 0, 88)),
        ("gather", (1, 48, 0), (1, 0, 48)),
        ("all_gather", (1, 48, 48), (1, 48, 48)),
        ("broadcast", (1, 0, 48), (1, 48, 0)),
        ("broadcast batched", (1, 80, 0), (1, 0, 80)),
        ("broadcast_obj", (1, 0, len('["size", [1, 2]]')), (1, len('["size", [1, 2]]'), 0)),
        ("barrier", (1, 0, 0), (1, 0, 0)),
    ],
)
def test_counters(outcomes: Outcomes, name: str, at_a: tuple[int, int, int], at_b: tuple[int, int, int]) -> None:
    """Protects: rounds, bytes sent and bytes received of each operation, computed by hand from 8 bytes an element."""
    for of_party, (rounds, bytes_sent, bytes_received) in zip(outcomes, (at_a, at_b), strict=True):
        cost = of_party[name][2]
        assert (cost.rounds, cost.bytes_sent, cost.bytes_received) == (rounds, bytes_sent, bytes_received)


def test_plain_data_keeps_its_types(outcomes: Outcomes) -> None:
    """Protects: JSON does not turn a tuple into a list, or a torch.Size into either."""
    (received,) = (outcomes[1]["send_obj and recv_obj"][0],)
    assert [(type(value), value) for value in received] == [(type(value), value) for value in PLAIN_DATA]


def test_signatures_are_crypten_s() -> None:
    """Protects: positional and keyword calls anywhere in CrypTen, defaults included."""
    for name, function in inspect.getmembers(crypten.communicator.DistributedCommunicator, inspect.isfunction):
        if name in vars(TwoPartyCommunicator) and not name.startswith("_"):
            ours = inspect.signature(getattr(TwoPartyCommunicator, name)).parameters
            assert _without_annotations(ours) == _without_annotations(inspect.signature(function).parameters), name


def test_nothing_of_the_base_class_is_left_undefined() -> None:
    """Protects: completeness. Only what starts and ends a communicator is missing; that is the session's work."""
    lifecycle = {"is_initialized", "get", "initialize", "shutdown"}
    functions = inspect.getmembers(crypten.communicator.Communicator, callable)
    public = {name for name, _ in functions if not name.startswith("_")}
    assert public - vars(TwoPartyCommunicator).keys() == lifecycle


def test_both_may_send_first(pool: PartyPool) -> None:
    """Protects: messages that cross do not wait for each other, however large."""
    assert pool.run(cross_large_tensors, 4 << 20) == [True, True]


def test_a_posted_receive_blocks_nothing(pool: PartyPool) -> None:
    """Protects: an early irecv, which completes last, and the tensor of a send that was waited for."""
    assert pool.run(wait_for_the_answer_last) == [[7], []]


def test_polling_ends(pool: PartyPool) -> None:
    """Protects: a loop over is_completed() makes progress."""
    assert pool.run(poll) == [[11], [10]]


def test_misuse_is_refused_before_anything_is_sent(pool: PartyPool) -> None:
    """Protects: other reductions, ranks and objects end in a ProtocolError at both sides, not in a wrong sum."""
    for endings, cost in pool.run(misuse):
        assert [ending for ending in endings if ending == "accepted"] == []
        assert all("\n" not in ending for ending in endings)
        assert cost == Cost()
        assert sum("use SUM or BXOR" in ending for ending in endings) == 3
        assert sum("not plain data" in ending for ending in endings) == 4


def test_other_size_is_refused(pool: PartyPool) -> None:
    """Protects: parties that disagree on a shape get an error, not garbage (gloo accepts a short message)."""
    ending, _ = pool.run(send_other_size)
    assert ending == "party b: it sent a TENSOR frame of 8 bytes where a tensor of 12 bytes was due"


@pytest.mark.parametrize(
    "message",
    [
        [],
        ["list"],
        ["set", [1]],
        ["os.system", ["true"]],
        ["size", ["1"]],
        ["size", [-1]],
        ["size", [1 << 70]],
        ["size", [True]],
        ["dict", [1]],
        {"a": 1},
        ["list", [["eval", ["1"]]]],
    ],
    ids=str,
)
def test_objects_that_are_not_plain_data_are_refused(pool: PartyPool, message: object) -> None:
    """Protects: nothing that a peer sends in place of a pickle is looked up, called or half understood."""
    _, ending = pool.run(send_raw_json, message)
    assert ending == "the other party sent an object that is not plain data; use the same version"


def _without_annotations(parameters: Any) -> list[tuple[str, Any, Any]]:
    return [(name, parameter.kind, parameter.default) for name, parameter in parameters.items()]


def _comparable(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.tolist()
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    return type(value), value
