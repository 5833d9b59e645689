"""Both roles of a solve in one process, with the dealer between them: no socket."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any

import torch
from heads import stream

from smule_crypten.fixed_point.wire import Post
from smule_crypten.joint_head.dealing import DealtProducts, SolveDealer
from smule_crypten.joint_head.plan import SolvePlan
from smule_crypten.joint_head.roles import GramRole, PreconditionerRole
from smule_crypten.joint_head.statistics import Statistics


@dataclass
class Said:
    """by_first: whether the first role sent it."""

    by_first: bool
    post: Post


class _Speaker:
    def __init__(self, role: Any) -> None:
        self.role, self._script = role, role.run()
        self.wanted: Any = None
        self.result: Any = None
        self.heard: deque[Post] = deque()
        self._go(None)

    def _go(self, data: torch.Tensor | None) -> None:
        try:
            self.wanted = self._script.send(data)
        except StopIteration as end:
            self.wanted, self.result = None, end.value

    def listen(self) -> bool:
        """Go on with the next message, if there is one; it must be the one that is waited for."""
        if self.wanted is None or not self.heard:
            return False
        post = self.heard.popleft()
        assert (post.layer, post.data.nbytes) == (self.wanted.layer, self.wanted.num_bytes)
        self._go(post.data)
        return True


def converse(first: Any, second: Any) -> tuple[Any, Any, list[Said]]:
    """Play both scripts against each other until neither can go on; their results, and all that was said."""
    speakers, said = [_Speaker(first), _Speaker(second)], []
    while True:
        for number, speaker in enumerate(speakers):
            posts, speaker.role.outbox = speaker.role.outbox, []
            speakers[1 - number].heard.extend(posts)
            said += [Said(number == 0, post) for post in posts]
        went_on = [speaker.listen() for speaker in speakers]
        if not any(went_on):
            break
    assert all(speaker.wanted is None and not speaker.heard for speaker in speakers)
    return speakers[0].result, speakers[1].result, said


def rounds(said: list[Said]) -> int:
    """Messages that the next step has to wait for, where the first two cross."""
    return sum(1 for _ in groupby(said, key=lambda one: one.by_first)) - 1


@dataclass
class Solve:
    """One solve with everything repeatable. shares: P's, in the order of their rounding."""

    plan: SolvePlan
    first: Statistics
    second: Statistics
    seed: int = 0
    shares: list[torch.Tensor] = field(default_factory=list)
    dealt_bytes: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def __post_init__(self) -> None:
        self.dealer_streams = {purpose: stream(self.seed, purpose) for purpose in ("T and P", "T and Q")}
        self.dealt_P, self.dealt_Q = stream(self.seed, "T and P"), stream(self.seed, "T and Q")
        self.common_P, self.common_Q = stream(self.seed, "common"), stream(self.seed, "common")
        dealer = SolveDealer(self.plan, *self.dealer_streams.values())
        self._waiting: dict[bool, deque[torch.Tensor]] = {True: deque(), False: deque()}
        self._all = chain([(True, dealer.right_side())], *(dealer.attempt(one) for one in self.plan.attempts))
        self.P = _RecordingP(
            self.plan,
            self.first,
            products=DealtProducts(self.plan, self.dealt_P, lambda size: self._correction(True, size)),
            local=stream(self.seed, "P"),
            common=self.common_P,
        )
        self.P.recorded = self.shares
        self.Q = GramRole(
            self.plan,
            self.second,
            products=DealtProducts(self.plan, self.dealt_Q, lambda size: self._correction(False, size)),
            local=stream(self.seed, "Q"),
            common=self.common_Q,
        )

    def run(self) -> tuple[torch.Tensor, torch.Tensor, list[Said]]:
        return converse(self.P, self.Q)

    def _correction(self, to_P: bool, size: int) -> torch.Tensor:
        while not self._waiting[to_P]:
            who, data = next(self._all)
            self._waiting[who].append(data)
        data = self._waiting[to_P].popleft()
        assert data.nbytes == size
        self.dealt_bytes[to_P] += size
        return data


class _RecordingP(PreconditionerRole):
    """Keeps the shares that decide its roundings."""

    recorded: list[torch.Tensor]

    def _rounded(self, share: torch.Tensor, bits: int) -> torch.Tensor:
        refreshed = self._refreshed(share)
        self.recorded.append(refreshed)
        return refreshed >> bits
