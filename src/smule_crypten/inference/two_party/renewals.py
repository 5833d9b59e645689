"""One end of an instance of silent transfer, and the further main iterations that it needs.

An iteration is one message of the sender, which waits for nothing: it leaves while the parties train, and is read when
it has come. Both parties know from the transfers that are needed how many iterations are due, and so how many messages
cross before anything else does. When each makes and reads them is its own affair; few are kept in memory at once.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import torch

from smule_crypten.mpc.session import Session
from smule_crypten.oblivious.blocks import Bytes
from smule_crypten.oblivious.parameters import Plan
from smule_crypten.oblivious.script import Script, Send, Want
from smule_crypten.oblivious.silent import Silent
from smule_crypten.types import Cost

End = TypeVar("End", bound=Silent)


def further_iterations(transfers: int, plan: Plan) -> int:
    """Main iterations that a run makes for so many transfers of an instance, beside the one of the set-up."""
    return max(0, -(-transfers // plan.transfers) - 1)


def all_ahead(transfers: tuple[int, int], plan: Plan) -> Cost:
    """What party a sends and receives of iterations in a run; transfers: of its own instance, and of party b's."""
    return _ahead([further_iterations(count, plan) for count in transfers], plan)


def most_ahead(transfers: tuple[int, int], plan: Plan) -> Cost:
    """The same for one exchange of a run, at most: an iteration that was begun before it may have served in part."""
    return _ahead([-(-count // plan.transfers) for count in transfers], plan)


def _ahead(iterations: list[int], plan: Plan) -> Cost:
    sent, received = (number * plan.main.message_bytes for number in iterations)
    return Cost(bytes_sent=sent, bytes_received=received)


class Renewed(Generic[End]):
    """end: this party's; new from its set-up."""

    def __init__(self, end: End, plan: Plan, session: Session) -> None:
        self.end = end
        self._plan = plan
        self._channel = session.channel
        self._needed = 0
        self._num_begun = 0
        self._script: Script[None] | None = None
        self._awaited = 0

    def need(self, count: int) -> None:
        """So many transfers more will be taken."""
        self._needed += count

    def advance(self, next_count: int, *, may_wait: bool = False) -> bool:
        """Work for some milliseconds on an iteration that is due; says whether there was anything to do.

        One is begun while fewer transfers are left than another one makes, or than `next_count`, which are taken next.

        Args:
            may_wait: for the peer's message.
        """
        if self._script is None:
            is_due = self._num_begun < further_iterations(self._needed, self._plan)
            if not is_due or self.end.left > max(self._plan.transfers, next_count):
                return False
            self._script = self.end.renew()
            self._num_begun += 1
        heard = None
        if self._awaited:
            heard = self._heard(may_wait)
            if heard is None:
                return False
            self._awaited = 0
        self._step(heard)
        return True

    def _heard(self, may_wait: bool) -> Bytes | None:
        message = self._channel.take_arrived(self._awaited)
        if message is None and may_wait:
            message = torch.empty(self._awaited, dtype=torch.uint8)
            # Whether anybody waits is chance: not a round.
            self._channel.transfer([], [message], continues=True)
        return None if message is None else message.numpy()

    def _step(self, heard: Bytes | None) -> None:
        assert self._script is not None
        try:
            step = self._script.send(heard)
        except StopIteration:
            self._script = None
            return
        if isinstance(step, Send):
            self._channel.post(torch.from_numpy(step.data))
        elif isinstance(step, Want):
            self._awaited = step.num_bytes
