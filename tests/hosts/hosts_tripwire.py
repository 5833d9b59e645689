"""Stopping a process at an exact point of its course, from within: the n-th step of a phase.

Steps are the calls that move a run on: every message to another process, every optimizer step, every file that is put
in its place. Unlike watching from outside, this hits the same point every time, in the middle of an exchange too.
"""

from __future__ import annotations

import functools
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from smule_crypten.head_run.driver import HeadDriver
from smule_crypten.mpc.dealer import Dealer
from smule_crypten.mpc.session import Session
from smule_crypten.mutual_learning.secure_peer import SecurePeer
from smule_crypten.party.mutual_training import MutualTraining
from smule_crypten.party.states import StateFolder
from smule_crypten.status.keeper import StatusKeeper
from smule_crypten.transport.link import Link
from smule_crypten.transport.meeting import Meeting

Action = Literal["kill", "stop", "wait", "count"]
PHASES = ("handshake", "exchange", "training")
_TERMS = 2
"""Messages that the dealer receives before the first exchange."""


@dataclass
class Tripwire:
    """What happens at step number `count` of `phase`: the process kills itself, stops itself, or waits for leave.

    A party is in phase "state" while it saves one, whose only step is putting the file in its place, in phase "alone"
    while it saves how far its training alone has come, which happens as often as time allows, in phase "head" while a
    joint head is solved and asked, and in phase "end" once it has trained. The dealer is in phase "training" while it
    waits for the parties to announce an exchange. With action "count" a process runs to its end and then tells how many
    steps each phase had.
    """

    action: Action
    phase: str = ""
    count: int = 0
    _connection: Connection | None = field(default=None, init=False)
    _current: str = field(default="handshake", init=False)
    _steps: Counter[str] = field(default_factory=Counter, init=False)
    _is_dealer: bool = field(default=False, init=False)
    _received: int = field(default=0, init=False)
    _looks_away: bool = field(default=False, init=False)

    def arm(self, connection: Connection) -> None:
        """Called in the process that is to be disturbed."""
        self._connection = connection
        for owner, name in ((Meeting, "meet"), (Link, "__init__"), (Session, "check")):
            _wrap(owner, name, before=self._step)
        _wrap(StatusKeeper, "_write", before=self._look_away, after=self._look_again)
        _wrap(Path, "replace", before=self._replace)
        _wrap(Link, "send_json", before=self._send)
        _wrap(Link, "transfer", before=self._send)
        _wrap(Link, "receive_json", before=self._receive)
        _wrap(HeadDriver, "run", before=functools.partial(self._enter, "head"))
        _wrap(HeadDriver, "run", after=functools.partial(self._enter, "handshake"))
        _wrap(MutualTraining, "run", before=functools.partial(self._enter, "training"))
        _wrap(MutualTraining, "run", after=functools.partial(self._enter, "end"))
        _wrap(SecurePeer, "ask", before=functools.partial(self._enter, "exchange"))
        _wrap(SecurePeer, "answers", after=functools.partial(self._enter, "training"))
        _wrap(StateFolder, "save", before=functools.partial(self._enter, "state"))
        _wrap(StateFolder, "save", after=functools.partial(self._enter, "training"))
        _wrap(StateFolder, "save_alone", before=functools.partial(self._enter, "alone"))
        _wrap(StateFolder, "save_alone", after=functools.partial(self._enter, "training"))
        _wrap(Dealer, "serve", before=self._serve)

    def tell(self) -> None:
        """Called at the end of the process."""
        if self.action == "count" and self._connection is not None:
            self._connection.send(dict(self._steps))

    def _enter(self, phase: str) -> None:
        self._current = phase

    def _serve(self) -> None:
        self._is_dealer = True

    def _send(self) -> None:
        if self._is_dealer and self._current == "training":
            self._current = "exchange"
        self._step()

    def _receive(self) -> None:
        self._received += 1
        if self._is_dealer and self._received > _TERMS:
            self._current = "training"
        self._step()

    def _look_away(self) -> None:
        """The status is written when time has passed, too, which no two runs do alike: that is no step."""
        self._looks_away = True

    def _look_again(self) -> None:
        self._looks_away = False

    def _replace(self) -> None:
        if not self._looks_away:
            self._step()

    def _step(self) -> None:
        self._steps[self._current] += 1
        if (self._current, self._steps[self._current]) != (self.phase, self.count) or self.action == "count":
            return
        assert self._connection is not None
        self._connection.send("reached")
        if self.action == "wait":
            self._connection.recv()
        else:
            os.kill(os.getpid(), signal.SIGKILL if self.action == "kill" else signal.SIGSTOP)


def _nothing() -> None:
    pass


def _wrap(
    owner: type, name: str, *, before: Callable[[], None] = _nothing, after: Callable[[], None] = _nothing
) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        before()
        result = original(*arguments, **options)
        after()
        return result

    setattr(owner, name, wrapped)
