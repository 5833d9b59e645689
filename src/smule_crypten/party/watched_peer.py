"""The peer of a run, each exchange of which needs leave, and is told of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smule_crypten.data.samples import Samples
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Answers, ForwardingPeer, Peer
from smule_crypten.party.events import Emit
from smule_crypten.status.record import Progress


class WatchedPeer(ForwardingPeer):
    """As peer, with a word before and after each exchange.

    Args:
        check_leave: raises SmuleError where no exchange may begin, before anything of it is announced or charged.
        pulse: called after each optimizer step.
    """

    def __init__(self, peer: Peer, emit: Emit, check_leave: Callable[[], None], pulse: Callable[[], None]) -> None:
        super().__init__(peer)
        self._emit, self._check_leave, self._pulse = emit, check_leave, pulse

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Sequence[float] | None = None) -> None:
        self._check_leave()
        self._emit(Progress(phase="exchange"))
        super().ask(question, answering, losses)

    def answers(self) -> Answers:
        answers = super().answers()
        self._emit(Progress(phase="smule", exchanges=answers.disclosure.query_id))
        return answers

    def check(self) -> None:
        super().check()
        self._pulse()
