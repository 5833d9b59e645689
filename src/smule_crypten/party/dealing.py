"""The dealer's process, between hosts and in a simulation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from smule_crypten.config.run import DealerConfig
from smule_crypten.config.sections import LaunchConfig
from smule_crypten.errors import PeerError, PeerTimeoutError, ProtocolError, SmuleError
from smule_crypten.inference.registry import DEALT
from smule_crypten.mpc.dealer import Deal, Dealer
from smule_crypten.mpc.session import closing_links
from smule_crypten.party.events import Emit
from smule_crypten.party.launcher import Job
from smule_crypten.party.links import meeting_of_dealer
from smule_crypten.transport.link import Link
from smule_crypten.transport.meeting import DEALER, ROLES, role_environment, simulated_meeting

log = logging.getLogger(__name__)


def deal(
    links: dict[str, Link],
    *,
    allow_insecure: bool,
    on_failure: Callable[[SmuleError], None] = lambda error: None,
    schemes: Mapping[str, Deal] = DEALT,
) -> int:
    """Serve one run over the links to both parties; returns the number of exchanges dealt.

    Args:
        on_failure: hears of a failure at once; saying farewell to a party that does not answer takes seconds.
        schemes: what this dealer deals for, by name.

    Raises:
        SmuleError: what the parties disagree on, or who left.
    """
    with closing_links(tuple(links.values())):
        try:
            return Dealer((links[ROLES[0]], links[ROLES[1]]), schemes, allow_insecure=allow_insecure).serve()
        except SmuleError as error:
            on_failure(error)
            raise


def serve_runs(config: DealerConfig) -> None:
    """The dealer between hosts: one run after another, config.runs of them or until it is stopped.

    A run that fails ends with a line in the log, and the next one can come. A dealer of a fixed number of runs says
    how the last one ended.

    Raises:
        ConfigError, CredentialError: it cannot listen, or a certificate or key is unusable.
        PeerError, ProtocolError: the last of config.runs runs failed.
    """
    torch.set_num_threads(config.launch.threads)
    served = 0
    while True:
        links = _meet_both(config)
        served += 1
        try:
            exchanges = deal(links, allow_insecure=False, on_failure=_log_failure)
            log.info("run completed exchanges=%d", exchanges)
        except (PeerError, ProtocolError):
            if served == config.runs:
                raise
        if served == config.runs:
            return


def _log_failure(error: SmuleError) -> None:
    log.warning("run failed: %s", error)


def _meet_both(config: DealerConfig) -> dict[str, Link]:
    """Wait for both parties, as long as it takes. Only what changes is logged: a dealer may wait for weeks."""
    seconds = config.launch.join_seconds
    said = f"{ROLES[0]} and {ROLES[1]} did not come within {seconds:g} seconds"
    log.info("waiting for=%s,%s listening=%s", ROLES[0], ROLES[1], config.listen)
    while True:
        try:
            links = meeting_of_dealer(config).meet()
        except PeerTimeoutError as error:
            if str(error) != said:
                log.info("nobody to deal to: %s", error)
            said = str(error)
        else:
            log.info("connected to=%s", ",".join(links))
            return links


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
