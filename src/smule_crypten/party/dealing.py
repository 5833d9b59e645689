"""Dealing for one run, and the dealer of a simulation; dealing/ has the one between hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from smule_crypten.config.sections import LaunchConfig
from smule_crypten.errors import SmuleError
from smule_crypten.inference.registry import DEALT
from smule_crypten.mpc.dealer import Deal, Dealer, Listener
from smule_crypten.mpc.session import closing_links
from smule_crypten.party.events import Emit
from smule_crypten.party.launcher import Job
from smule_crypten.transport.link import Link
from smule_crypten.transport.meeting import DEALER, ROLES, role_environment, simulated_meeting


def deal(
    links: dict[str, Link],
    *,
    allow_insecure: bool,
    on_failure: Callable[[SmuleError], None] = lambda error: None,
    schemes: Mapping[str, Deal] = DEALT,
    listener: Listener | None = None,
) -> int:
    """Serve one run over the links to both parties; returns the number of exchanges dealt.

    Args:
        on_failure: hears of a failure at once; saying farewell to a party that does not answer takes seconds.
        schemes: what this dealer deals for, by name.
        listener: as in Dealer.

    Raises:
        SmuleError: what the parties disagree on, or who left.
    """
    ends = links[ROLES[0]], links[ROLES[1]]
    with closing_links(tuple(links.values())):
        try:
            return Dealer(ends, schemes, allow_insecure=allow_insecure, listener=listener).serve()
        except SmuleError as error:
            on_failure(error)
            raise


def jobs_that_meet(
    folder: str,
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    launch: LaunchConfig,
    *,
    with_dealer: bool,
    schemes: Mapping[str, Deal] = DEALT,
) -> list[Job]:
    """Party a, party b and, if one deals, the dealer of a simulation, who meet through a store in folder.

    Args:
        function, arguments: what either party runs, and with what.
        schemes: as in `deal`.
    """
    tasks = [(role, function, given) for role, given in zip(ROLES[:2], arguments, strict=True)]
    if with_dealer:
        tasks.append((DEALER, run_simulated_dealer, (launch, schemes)))
    rendezvous = f"file://{folder}/rendezvous"
    return [
        Job(name=role, function=task, arguments=given, environment=role_environment(role, rendezvous))
        for role, task, given in tasks
    ]


def run_simulated_dealer(emit: Emit, launch: LaunchConfig, schemes: Mapping[str, Deal] = DEALT) -> int:
    """The dealer of a simulation, which SMULE_RENDEZVOUS brings together with the parties; schemes as in `deal`."""
    torch.set_num_threads(launch.threads)
    meeting = simulated_meeting(
        DEALER, with_dealer=True, join_seconds=launch.join_seconds, deadline_seconds=launch.deadline_seconds
    )
    return deal(meeting.meet(), allow_insecure=True, schemes=schemes)
