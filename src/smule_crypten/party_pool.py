"""Two parties and a dealer in processes of their own, kept alive: they run any function in both parties at once."""

from __future__ import annotations

import os
import pickle
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

from smule_crypten.config.sections import Randomness
from smule_crypten.fork_server import process_context, start
from smule_crypten.inference.registry import DEALT
from smule_crypten.mpc.dealer import Dealer
from smule_crypten.mpc.session import closing_links, open_session
from smule_crypten.mpc.training_plan import NAME as FULL_TRAINING
from smule_crypten.mpc.training_plan import deal_steps
from smule_crypten.transport.channel import Channel
from smule_crypten.transport.meeting import DEALER, ROLES, role_environment, simulated_meeting


class RecordingChannel(Channel):
    """A channel that keeps a copy of every tensor this party received: its view of the protocol."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.rank = channel.rank
        self.meter = channel.meter
        self.received: list[torch.Tensor] = []

    def transfer(
        self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor], *, continues: bool = False
    ) -> None:
        self._channel.transfer(outgoing, incoming, continues=continues)
        self.received += [tensor.clone() for tensor in incoming]

    def post(self, tensor: torch.Tensor) -> None:
        self._channel.post(tensor)

    def take_arrived(self, num_bytes: int) -> torch.Tensor | None:
        tensor = self._channel.take_arrived(num_bytes)
        if tensor is not None:
            self.received.append(tensor.clone())
        return tensor

    def send_json(self, value: object) -> None:
        self._channel.send_json(value)

    def receive_json(self) -> Any:
        return self._channel.receive_json()

    def swap_json(self, value: object) -> Any:
        return self._channel.swap_json(value)


class PartyPool:
    """Three processes, party a, party b and the dealer; the parties run one function after the other.

    A call opens fresh links and a fresh session, so nothing is carried over but the imported modules. session.channel
    is a RecordingChannel. Use as a context manager.
    """

    def __enter__(self) -> PartyPool:
        context = process_context()
        self._connections: list[Connection] = []
        self._processes: list[Any] = []
        for role in ROLES:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, role), daemon=True)
            start(process)
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)
        return self

    def __exit__(self, *exception: object) -> None:
        for connection, process in zip(self._connections, self._processes, strict=True):
            connection.close()
            process.join(10)
            process.kill()

    def run(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        dealt: bool = False,
        randomness: Randomness = "fresh",
        seed: int = 0,
        precision_bits: int = 16,
        deadline_seconds: float = 30.0,
        dealer_allows_insecure: bool = True,
    ) -> list[Any]:
        """function(session, *arguments) in both parties at once; the results of party a and party b.

        Args:
            dealt: whether the dealer deals; otherwise party a does.
            randomness: of the session.
            seed: of the session.
            precision_bits: of the session.
            deadline_seconds: longest silence of another process.
            dealer_allows_insecure: whether the dealer accepts randomness="seeded_insecure".

        Raises:
            RuntimeError: a process failed; the message holds its traceback.
        """
        with tempfile.TemporaryDirectory() as folder:
            call = _Call(
                rendezvous=f"file://{folder}/rendezvous",
                dealt=dealt,
                dealer_allows_insecure=dealer_allows_insecure,
                deadline_seconds=deadline_seconds,
                settings={"randomness": randomness, "seed": seed, "precision_bits": precision_bits},
                function=function,
                arguments=arguments,
            )
            connections = self._connections if dealt else self._connections[:2]
            for connection in connections:
                connection.send(call)
            answers = [connection.recv() for connection in connections]
        failures = [value for succeeded, value in answers if not succeeded]
        if failures:
            raise RuntimeError("\n".join(failures))
        return [value for _, value in answers[:2]]


@dataclass(frozen=True, kw_only=True)
class _Call:
    rendezvous: str
    dealt: bool
    dealer_allows_insecure: bool
    deadline_seconds: float
    settings: dict[str, Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def _serve(connection: Connection, role: str) -> None:
    torch.set_num_threads(1)
    np.random.seed()  # as launcher._run_job
    while True:
        try:
            message = connection.recv_bytes()
        except EOFError:
            return
        try:
            # Only here: what cannot be unpickled in this process is a failure to report, too.
            answer = True, _act(role, pickle.loads(message))
        except BaseException:
            answer = False, f"{role}:\n{traceback.format_exc()}"
        connection.send(answer)


def _act(role: str, call: _Call) -> Any:
    os.environ |= role_environment(role, call.rendezvous)
    meeting = simulated_meeting(role, with_dealer=call.dealt, join_seconds=30.0, deadline_seconds=call.deadline_seconds)
    links = meeting.meet()
    if role == DEALER:
        with closing_links(tuple(links.values())):
            schemes = {**DEALT, FULL_TRAINING: deal_steps}
            dealer = Dealer((links[ROLES[0]], links[ROLES[1]]), schemes, allow_insecure=call.dealer_allows_insecure)
            return dealer.serve()
    with open_session(links, ROLES.index(role), wrap_channel=RecordingChannel, **call.settings) as session:
        return call.function(session, *call.arguments)
