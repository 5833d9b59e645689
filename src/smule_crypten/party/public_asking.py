"""Questions of a run whose samples are public: what a party needs to ask and answer them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smule_crypten.config.run import PartyConfig
from smule_crypten.config.schemes import scheme_traits
from smule_crypten.data.samples import PublicPool
from smule_crypten.inference.noise import LEAST_NOISE
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.mpc.keys import fresh_entropy, insecure_key
from smule_crypten.mpc.streams import Stream
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.peer import Peer
from smule_crypten.mutual_learning.planner import Queries
from smule_crypten.mutual_learning.public_link import PublicSecrets, SessionLink
from smule_crypten.mutual_learning.public_questions import PublicPeer
from smule_crypten.mutual_learning.schedule import PublicPlan, PublicSchedule
from smule_crypten.party.inputs import party_seed


@dataclass(frozen=True, kw_only=True)
class PublicAsking:
    """Which questions there are, and how they cross."""

    config: PartyConfig
    pool: PublicPool
    link: SessionLink
    schedule: PublicSchedule

    def asked_beside(self, peer: Peer) -> Peer:
        """The peer that answers these questions, too."""
        config = self.config
        return PublicPeer(peer, self.link, self.pool.samples, self.schedule, config.rank, config.opening)

    def plan(self, num_exchanges: int) -> PublicPlan:
        """What the other party will be answered."""
        counts = self.schedule.of_exchanges(num_exchanges, 1 - self.config.rank)
        return PublicPlan(counts, is_repeated=self.link.repeats)


def public_questions(
    config: PartyConfig, pool: PublicPool | None, scheme: SecureInferenceScheme, budget: QueryBudget, counts: Queries
) -> PublicAsking | None:
    """None where there is no public pool.

    Args:
        counts: of party a and party b in an exchange.
    """
    if pool is None:
        return None
    secrets = PublicSecrets(
        contribution=_key(config, "contribution to public questions"),
        noise=_key(config, "noise on public answers"),
        stream=Stream,
    )
    return PublicAsking(
        config=config,
        pool=pool,
        link=SessionLink(scheme, budget, secrets, sigma=_sigma(config)),
        schedule=PublicSchedule(pool_size=len(pool.samples), counts=counts),
    )


def _sigma(config: PartyConfig) -> float:
    """At least as much as other answers bear: no logit is opened to its last bit, from which weights could follow."""
    extra = config.disclosure.logit_noise
    return extra if scheme_traits(config.scheme.name).is_insecure else math.hypot(LEAST_NOISE, extra)


def _key(config: PartyConfig, purpose: str) -> bytes:
    if config.randomness == "seeded_insecure":
        return insecure_key(party_seed(config), purpose)
    return fresh_entropy()
