"""Both parties of a run in this process, in the clear: what the comparisons measure. Protects nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cached_property, partial

from smule_crypten.config.run import RunConfig
from smule_crypten.config.simulation import ControlName
from smule_crypten.head_run.terms import head_sizes
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.translate import translate
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mutual_learning.in_process import InProcessLink, Option, Waiting, in_process_peers
from smule_crypten.mutual_learning.loop import MutualLearning
from smule_crypten.mutual_learning.observer import Observer
from smule_crypten.mutual_learning.peer import Peer
from smule_crypten.mutual_learning.planner import Plan, Prices, plan, public_queries
from smule_crypten.mutual_learning.public_questions import ORDER, PublicPeer
from smule_crypten.mutual_learning.schedule import PublicSchedule
from smule_crypten.simulation.adversary import LyingPeer, SimulatedAttack
from smule_crypten.simulation.joint_head import HeadsInProcess, heads_in_process, own_head_answers
from smule_crypten.simulation.simulated_data import (
    SimulatedData,
    load_simulated_data,
    pooled_learner,
    simulated_parties,
    with_named_networks,
)
from smule_crypten.training.controls import local_control
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.kept_training import Finished, KeptTraining, OnEpoch
from smule_crypten.training.learner import Learner
from smule_crypten.training.trainer import EpochResult

Pair = tuple[Learner, Learner]


def _silent(result: EpochResult, tested: Outcome) -> None: ...


class InProcess:
    """A run, as far as it can do without processes of its own: the same samples, networks, seeds, plan and costs.

    What run.scheme names is paid for, and not run. learners may be replaced, where parties shall learn otherwise than
    the run says. Accuracies are 0 to 1; costs, at prices, are those of one exchange in bytes and rounds.

    Args:
        run: from `configure`.
        data: what load_simulated_data has given, to load it once for many runs; an adversary has not poisoned it yet.

    Raises:
        ConfigError: a setting cannot be used.
        DataError: nor can the data.
        ModelError: nor can a network.

    Example:
        >>> import smule_crypten as smule
        >>> both = smule.InProcess(smule.configure("training.epochs=1", "data.max_train=200"))
        >>> alone = both.alone(0), both.alone(1)
        >>> party_a, party_b = both.mutual(alone)
        >>> 0 <= party_a.accuracy <= 1, both.prices.cost(0, (8, 8)).rounds > 0
        (True, True)
    """

    def __init__(self, run: RunConfig, data: SimulatedData | None = None) -> None:
        data = load_simulated_data(run) if data is None else data
        self.run = run = with_named_networks(run, data.bundle)
        self.simulated = SimulatedAttack(run, data)
        self.learners: Pair = simulated_parties(run, self.simulated.data)
        answering = self.simulated.answering([learner.network() for learner in self.learners])
        shape = self.simulated.data.bundle.input_shape
        first, second = (translate(model, shape).architecture for model in answering)
        self.prices = Prices(
            scheme=scheme_class(run.scheme.name),
            config=run.scheme,
            architectures=(first, second),
            dealt=run.party(0, ".").needs_dealer,
            public=public_queries(run.public_pool, run.exchange),
        )
        sizes = head_sizes(run, self.simulated.data.bundle)
        head_bytes = 0 if sizes is None else sizes.most_bytes
        self.plan: Plan = plan(self.prices, run.exchange, run.training.epochs, head_bytes)

    @cached_property
    def heads(self) -> HeadsInProcess | None:
        """The joint head and what both parties know of it; None without one."""
        return heads_in_process(self.run, self.simulated.data.bundle, self.learners)

    def alone(self, rank: int, on_epoch: OnEpoch = _silent) -> Finished:
        """What the party of this rank comes to alone."""
        return KeptTraining.alone(self.learners[rank], on_epoch).run()

    def control(self, name: ControlName, rank: int, finished: Finished, on_epoch: OnEpoch = _silent) -> Finished:
        """A local control of the party, which has trained `finished` alone."""
        learner = self.learners[rank]
        own_head = own_head_answers(self.run, self.simulated.data.bundle, learner) if name == "own_head" else None
        control = partial(local_control, name, learner, finished=finished.model, own_head=own_head)
        return KeptTraining(learner, control, name, on_epoch).run()

    def pooled(self, on_epoch: OnEpoch = _silent) -> Finished:
        """Party a's network on the data of both, poisoned samples of an adversary with them."""
        learner = pooled_learner(self.run, self.simulated.data)
        return KeptTraining(learner, learner.trainer, "pooled", on_epoch).run()

    def mutual(
        self,
        alone: tuple[Finished | None, Finished | None] = (None, None),
        *,
        option: Option = lambda logits_NC: logits_NC,
        observers: tuple[Observer | None, Observer | None] = (None, None),
        wrap: Callable[[Peer, int], Peer] = lambda peer, rank: peer,
    ) -> tuple[MutualLearning, MutualLearning]:
        """Both parties after mutual learning; as `begun`."""
        first, second = self.begun(alone, option=option, observers=observers, wrap=wrap)
        for _ in zip(first.run(), second.run(), strict=True):
            pass
        return first, second

    def begun(
        self,
        alone: tuple[Finished | None, Finished | None] = (None, None),
        *,
        option: Option = lambda logits_NC: logits_NC,
        observers: tuple[Observer | None, Observer | None] = (None, None),
        wrap: Callable[[Peer, int], Peer] = lambda peer, rank: peer,
    ) -> tuple[MutualLearning, MutualLearning]:
        """Both parties before mutual learning, to be run in step (loop.py).

        Args:
            alone: what either has come to alone; None trains it first, where the run says so.
            option: what the owners do to their answers.
            wrap: from a peer of the party of this rank to the one that the party learns with.
        """
        self._say_of_heads(observers)
        peers = self._in_public(in_process_peers(self.prices, option, opening=self.run.opening), option)
        first, second = (
            MutualLearning(
                learner,
                self.run.exchange,
                wrap(self._as_it_answers(learner, peer), rank),
                num_queries=None if self.plan.num_queries is None else self.plan.num_queries[rank],
                observer=observers[rank],
                alone=alone[rank],
                head=None if self.heads is None else self.heads.judged[rank].answers,
            )
            for rank, (learner, peer) in enumerate(zip(self.learners, peers, strict=True))
        )
        return first, second

    def _say_of_heads(self, observers: tuple[Observer | None, Observer | None]) -> None:
        if self.heads is None:
            return
        for learner, judged, observer in zip(self.learners, self.heads.judged, observers, strict=True):
            if observer is not None and judged.text is not None:
                observer.message(f"party {learner.name}, joint head: {judged.text}")

    def _in_public(self, peers: tuple[Peer, Peer], option: Option) -> tuple[Peer, Peer]:
        """Which also answer questions whose samples are public, where there are such."""
        pool = self.simulated.data.bundle.public_pool
        if pool is None:
            return peers
        schedule = PublicSchedule(pool_size=len(pool.samples), counts=self.prices.public)
        # As processes have it with randomness=seeded_insecure.
        key = insecure_key(self.run.seed, ORDER)
        answered: tuple[Waiting, Waiting] = deque(), deque()
        first, second = (
            PublicPeer(
                peer,
                InProcessLink(self.prices, option, key, rank, answered),
                pool.samples,
                schedule,
                rank,
                self.run.opening,
            )
            for rank, peer in enumerate(peers)
        )
        return first, second

    def _as_it_answers(self, learner: Learner, peer: Peer) -> Peer:
        """An adversary answers with another network than its own."""
        return LyingPeer(peer, self.simulated.attack.answering) if learner.name == self.run.attack.party else peer
