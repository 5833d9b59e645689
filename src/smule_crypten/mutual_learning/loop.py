"""Secure mutual learning (SMuLe), from the side of one party.

1. Train alone.
2. At each due epoch: choose a question, ask, answer the peer with the best network so far, keep and watch its answers.
3. Train for an epoch, on labels and on soft labels.
4. Judge the network by the validation part, and keep the best one. At the end, put it back. With a joint head, which
   teaches more than the party's own validation part can judge, the last one is kept.

`run` is a generator, which yields once in each exchange, between asking and reading the answers. A process of its own
exhausts it; two parties in one process run in step: `for _ in zip(party_a.run(), party_b.run(), strict=True): pass`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.mutual_learning.answering import answering_network
from smule_crypten.mutual_learning.cache import SoftLabelCache
from smule_crypten.mutual_learning.far_answers import without_far_answers
from smule_crypten.mutual_learning.observer import Observer, Silent
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Peer
from smule_crypten.mutual_learning.queries import QueryPlan
from smule_crypten.mutual_learning.schedule import exchange_epochs
from smule_crypten.mutual_learning.watching import Watchman
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.kept_training import Finished, KeptTraining
from smule_crypten.training.learner import Learner
from smule_crypten.training.trainer import Trainer


class MutualLearning:
    """One party. network is trained in place; alone, best, watchman and tested tell how it went.

    Args:
        num_queries: the most samples that this party asks about in one exchange; None for all that it may.
        alone: what training alone has come to, where that was done before.
        head: what this party's own joint head says of all its samples; None without one. Of a head that is left out
            nothing: then it does not teach, and the peer is told nothing of it either, which waits for that.
    """

    def __init__(
        self,
        learner: Learner,
        exchange: ExchangeConfig,
        peer: Peer,
        *,
        num_queries: int | None,
        observer: Observer | None = None,
        alone: Finished | None = None,
        head: OwnAnswers | None = None,
    ) -> None:
        held, config, known_fraction = learner.holding, learner.training, exchange.queries.known_fraction
        self.learner, self.network, self.best, self.tested = learner, learner.network(), BestNetwork(), Outcome()
        self.due, self.epoch, self.num_exchanges = exchange_epochs(exchange, config.epochs), 1, 0
        self.questions = QueryPlan(held.train, held.pool, held.validation, known_fraction, learner.seed)
        self.watchman = Watchman(config.alarm, held.known, learner.task.watch(learner.num_classes, len(self.due)))
        self.training_alone: KeptTraining | None = None
        self._peer, self._num_queries, self._observer = peer, num_queries, observer or Silent()
        self._cache = SoftLabelCache(held.answerable_ids, learner.num_classes)
        self._trainer: Trainer | None = None
        self._head = head if head else None
        self._is_left_out = head is not None and not head
        self._has_finished(alone)

    def run(self) -> Iterator[None]:
        """Learn, or what is left of it after load_state_dict; yields once in each exchange.

        Raises:
            SmuleError: as Trainer.run_epoch, and the methods of the peer and of the observer.
        """
        self._prepare()
        if self.alone is None and self.learner.training.standalone:
            self._train_alone()
        trainer = self._trainer = self._trainer or self._new_trainer()
        while self.epoch <= self.learner.training.epochs:
            if self.epoch in self.due[self.num_exchanges :]:
                yield from self._exchange(trainer)
            result = trainer.run_epoch()
            self.tested = self.learner.test(self.network)
            if self._head is None:
                self.learner.offer(self.network, trainer.model_step, f"smule, epoch {self.epoch}", self.best)
            self._observer.epoch("smule", result, self.tested)
            self.epoch += 1
        if self._head is not None:
            # Own held-out samples know nothing of the classes that this party lacks, and the head does.
            self.best = BestNetwork()
        self.tested = self.learner.restored(self.best, self.network, self.tested)
        self._observer.kept("smule", self.network, self.best.model_step or trainer.model_step)

    @property
    def accuracy(self) -> float | None:
        """As in Outcome."""
        return self.tested.accuracy

    def _train_alone(self) -> None:
        self.training_alone = self.training_alone or self._new_training_alone()
        alone, self.training_alone = self.training_alone.run(self._observer.reached), None
        self._has_finished(alone)
        self._observer.kept("standalone", alone.model, alone.model_step)

    def _exchange(self, trainer: Trainer) -> Iterator[None]:
        if self.num_exchanges == 0:
            self._observer.reached()
        question = self.learner.holding.candidates.of_ids(self.questions.next(self._num_queries))
        in_training = AnsweringNetwork(self.network, trainer.model_step, f"smule, epoch {self.epoch - 1}")
        begun = time.perf_counter()
        told = [] if self._is_left_out else None if trainer.teacher is None else trainer.teacher.losses
        self._peer.ask(question, answering_network(self.learner, self.best, self.alone, in_training), told)
        asked = time.perf_counter()
        yield
        resumed = time.perf_counter()
        task, holding, private = self.learner.task, self.learner.holding, self.learner.training.dp is not None
        answers = without_far_answers(self._peer.answers(), task, holding, private=private)
        seconds = asked - begun + time.perf_counter() - resumed
        self.num_exchanges += 1
        self._cache.store(*answers.learned_from, answers.prediction.model_step)
        self._observer.exchanged(self.epoch, answers, seconds)
        texts, dropped = self.watchman.watch(answers, self.epoch, self._cache, trainer, self.best)
        for text in texts:
            self._observer.message(f"party {self.learner.name}, {text}")
        # Who is not believed what it answers is not believed what it says of the teachers.
        if trainer.teacher is not None and told and answers.peer_losses is not None and not dropped:
            trainer.teacher.hear(told, answers.peer_losses)
        self._observer.reached()
        self._prepare()

    def _prepare(self) -> None:
        """Have the next exchange prepared for while this party trains."""
        if self.num_exchanges < len(self.due):
            self._peer.prepare(self.questions.count(self._num_queries))

    def _has_finished(self, alone: Finished | None) -> None:
        self.alone = alone
        if alone is not None:
            self.best.load_state_dict(alone.best.state_dict())

    def _new_training_alone(self) -> KeptTraining:
        return KeptTraining.alone(self.learner, partial(self._observer.epoch, "standalone"), self._peer.check)

    def _new_trainer(self) -> Trainer:
        finished = None if self.alone is None else self.alone.model
        return self.learner.taught_trainer(self.network, self._cache, finished, self._peer.check, self._head)

    def state_dict(self) -> dict[str, Any]:
        """At a moment of which the observer is told by `reached`."""
        if self.training_alone is not None:
            return {"training_alone": self.training_alone.state_dict()}
        alone = None if self.alone is None else self.alone.state_dict()
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        return {"epoch": self.epoch, "num_exchanges": self.num_exchanges, "alone": alone, **parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if "training_alone" in state:
            self.training_alone = self._new_training_alone()
            self.training_alone.load_state_dict(state["training_alone"])
            return
        self.epoch, self.num_exchanges = state["epoch"], state["num_exchanges"]
        self.alone = None if state["alone"] is None else Finished.of(state["alone"], self.learner)
        self._trainer = self._new_trainer()
        for name, part in self._parts.items():
            part.load_state_dict(state[name])

    @property
    def _parts(self) -> dict[str, Any]:
        """All that changes. The trainer is the last one, since it looks at the answers."""
        parts = (self._peer, self.questions, self._cache, self.best, self.watchman, self._trainer)
        return dict(zip(("peer", "questions", "answers", "best", "watchman", "trainer"), parts, strict=True))
