"""The dealer's process, between hosts and in a simulation."""

from __future__ import annotations

import logging

from smule_crypten.errors import PeerError, PeerTimeoutError, ProtocolError
from smule_crypten.mpc.dealer import Dealer
from smule_crypten.mpc.meeting import DEALER, ROLES, Meeting, simulated_meeting
from smule_crypten.mpc.session import closing_links
from smule_crypten.processes.launcher import Emit
from smule_crypten.processes.links import meeting_of_dealer
from smule_crypten.run_config import DealerConfig

log = logging.getLogger(__name__)


def deal(meeting: Meeting, *, allow_insecure: bool) -> int:
    """Meet both parties and serve one run; returns the number of exchanges dealt.

    Raises:
        SmuleError: who did not come, what they disagree on, or who left.
    """
    links = meeting.meet()
    with closing_links(tuple(links.values())):
        return Dealer((links[ROLES[0]], links[ROLES[1]]), allow_insecure=allow_insecure).serve()


def serve_runs(config: DealerConfig) -> None:
    """The dealer between hosts: one run after another, config.runs of them or until it is stopped.

    A run that fails ends with a line in the log; the next one can come.

    Raises:
        ConfigError, CredentialError: it cannot listen, or a certificate or key is unusable.
    """
    served = 0
    while config.runs is None or served < config.runs:
        meeting = meeting_of_dealer(config)
        log.info("listening address=%s", config.listen)
        try:
            exchanges = deal(meeting, allow_insecure=False)
            log.info("run completed exchanges=%d", exchanges)
        except PeerTimeoutError as error:
            log.info("nobody to deal to: %s", error)
            continue
        except (PeerError, ProtocolError) as error:
            log.warning("run failed: %s", error)
        served += 1


def run_simulated_dealer(emit: Emit, join_seconds: float, deadline_seconds: float) -> int:
    """The dealer of a simulation, which RENDEZVOUS brings together with the parties."""
    meeting = simulated_meeting(DEALER, with_dealer=True, join_seconds=join_seconds, deadline_seconds=deadline_seconds)
    return deal(meeting, allow_insecure=True)
