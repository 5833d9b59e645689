"""Two parties and a dealer as processes on this machine, for the benchmarks: links of TLS on loopback, one session
after another, and a barrier beside them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from reference_task import peak_memory_bytes

from smule_crypten.config.sections import LaunchConfig, Randomness
from smule_crypten.mpc.session import Session, open_session
from smule_crypten.party.dealing import run_simulated_dealer
from smule_crypten.party.events import Emit
from smule_crypten.party.launcher import Job, run_jobs
from smule_crypten.transport.meeting import (
    DEALER,
    ROLES,
    Meeting,
    role_environment,
    role_from_environment,
    simulated_meeting,
)

SILENCE_SECONDS = 600.0

Wire = Callable[[Meeting], AbstractContextManager[Meeting]]
"""What puts something in the way of the links of a meeting."""


@contextmanager
def session_of(
    number: int,
    launch: LaunchConfig,
    precision_bits: int,
    *,
    with_dealer: bool,
    wire: Wire = nullcontext,
    randomness: Randomness = "fresh",
) -> Iterator[Session]:
    """Session `number` of this process, over fresh links; all processes count in the same way.

    Args:
        randomness: "seeded_insecure" draws the same in every session.
    """
    role = role_from_environment()
    with _own_rendezvous(number):
        meeting = simulated_meeting(
            role,
            with_dealer=with_dealer,
            join_seconds=launch.join_seconds,
            deadline_seconds=launch.deadline_seconds,
        )
        with wire(meeting) as wired:
            links = wired.meet()
            with open_session(
                links, ROLES.index(role), precision_bits=precision_bits, randomness=randomness, seed=0
            ) as session:
                yield session


@contextmanager
def barrier_group() -> Iterator[None]:
    """dist.barrier() between the parties, apart from the links that are measured."""
    rank = ROLES.index(role_from_environment())
    dist.init_process_group("gloo", init_method=os.environ["SMULE_RENDEZVOUS"] + "-barrier", rank=rank, world_size=2)
    yield
    dist.destroy_process_group()


def in_both_parties(
    function: Callable[..., Any], *arguments: Any, threads: int, dealt_sessions: int | Sequence[int] = 0
) -> list[Any]:
    """function(emit, launch, *arguments) in party a and party b, beside a dealer that serves these sessions.

    Returns what the parties return, and the dealer's peak memory in bytes if there is one.
    """
    launch = LaunchConfig(threads=threads, join_seconds=SILENCE_SECONDS, deadline_seconds=SILENCE_SECONDS)
    dealt = range(dealt_sessions) if isinstance(dealt_sessions, int) else dealt_sessions
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = f"file://{folder}/rendezvous"
        gloo = {"DISTRIBUTED_BACKEND": "gloo", "GLOO_SOCKET_IFNAME": "lo"}
        jobs = [
            Job(
                name=role,
                function=_run_party,
                arguments=(launch, function, arguments),
                environment=gloo | role_environment(role, rendezvous),
            )
            for role in ROLES[:2]
        ]
        if dealt:
            dealer = gloo | role_environment(DEALER, rendezvous)
            jobs.append(Job(name=DEALER, function=_deal, arguments=(launch, dealt), environment=dealer))
        return run_jobs(jobs, lambda sender, event: None)


def _run_party(emit: Emit, launch: LaunchConfig, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    torch.set_num_threads(launch.threads)
    return function(emit, launch, *arguments)


def _deal(emit: Emit, launch: LaunchConfig, sessions: Sequence[int]) -> int:
    for number in sessions:
        with _own_rendezvous(number):
            run_simulated_dealer(emit, launch)
    return peak_memory_bytes()


@contextmanager
def _own_rendezvous(number: int) -> Iterator[None]:
    rendezvous = os.environ["SMULE_RENDEZVOUS"]
    os.environ["SMULE_RENDEZVOUS"] = f"{rendezvous}-{number}"
    try:
        yield
    finally:
        os.environ["SMULE_RENDEZVOUS"] = rendezvous
