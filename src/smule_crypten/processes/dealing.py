"""The dealer's process, between hosts and in a simulation."""

from __future__ import annotations

from smule_crypten.mpc.dealer import Dealer
from smule_crypten.mpc.meeting import DEALER, ROLES, Meeting, simulated_meeting
from smule_crypten.mpc.session import closing_links
from smule_crypten.processes.launcher import Emit


def deal(meeting: Meeting, *, allow_insecure: bool) -> int:
    """Meet both parties and serve one run; returns the number of exchanges dealt.

    Raises:
        SmuleError: who did not come, what they disagree on, or who left.
    """
    links = meeting.meet()
    with closing_links(tuple(links.values())):
        return Dealer((links[ROLES[0]], links[ROLES[1]]), allow_insecure=allow_insecure).serve()


def run_simulated_dealer(emit: Emit, join_seconds: float, deadline_seconds: float) -> int:
    """The dealer of a simulation, which RENDEZVOUS brings together with the parties."""
    meeting = simulated_meeting(DEALER, with_dealer=True, join_seconds=join_seconds, deadline_seconds=deadline_seconds)
    return deal(meeting, allow_insecure=True)
