"""Two parties of a joint head in two threads, over a channel in memory that can be cut at any message."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from tensor_channel import TensorChannel

from smule_crypten.config.protocol import JointHeadTerms
from smule_crypten.errors import PeerDisconnectedError
from smule_crypten.head_run.driver import HeadDriver, Questions
from smule_crypten.head_run.sizes import HeadSizes
from smule_crypten.head_run.state import HEAD_FILE, HeadState, HeadStore
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.joint_head.statistics import Statistics, StatisticsSum, one_hot_targets, with_constant
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.streams import StreamSet
from smule_crypten.mutual_learning.disclosures import read_ledger
from smule_crypten.mutual_learning.head_budget import HeadBudget
from smule_crypten.mutual_learning.kept_ledger import KeptLedger
from smule_crypten.types import PARTY_NAMES

FEATURES, CLASSES, CLIP_NORM, PENALTY = 4, 3, 4.0, 75.0
_WAIT = 20.0
_CUT = object()


def terms(**changes: Any) -> JointHeadTerms:
    values: dict[str, Any] = {
        "name": "ridge",
        "answers": 6,
        "noise": 0.2,
        "penalty": PENALTY,
        "bound": 4.0,
        "iterations": 6,
        "features": FEATURES + 1,
        "clip_norm": CLIP_NORM,
    }
    return JointHeadTerms(**values | changes)


def sizes(**changes: Any) -> HeadSizes:
    return HeadSizes(terms=terms(**changes), outputs=CLASSES, opening="differences")


def data(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (N, F) and classes that they tell of, more or less."""
    generator = torch.Generator().manual_seed(seed)
    features_NF = torch.randn(rows, FEATURES, generator=generator)
    noise_NC = torch.randn(rows, CLASSES, generator=generator)
    return features_NF, (features_NF[:, :CLASSES] + noise_NC).argmax(dim=1)


def statistics(rows: int, seed: int, scale: float = 1.0) -> Statistics:
    total = StatisticsSum(FEATURES, CLASSES, CLIP_NORM)
    if rows:
        features_NF, classes_N = data(rows, seed)
        total.add(scale * features_NF, one_hot_targets(classes_N, CLASSES))
    return total.total()


class FaultyChannel(TensorChannel):
    """cut_at: before its message of this number, from 1, the party is gone. sent: all messages, as bytes or JSON."""

    def __init__(self, rank: int, out: queue.Queue[Any], into: queue.Queue[Any], cut_at: int | None) -> None:
        super().__init__(rank)
        self._out, self._into, self._cut_at = out, into, cut_at
        self.sent: list[Any] = []
        self.watch: Callable[[], None] = lambda: None

    def transfer(
        self, outgoing: Sequence[torch.Tensor], incoming: Sequence[torch.Tensor], *, continues: bool = False
    ) -> None:
        for tensor in outgoing:
            self._send(tensor.clone())
        for tensor in incoming:
            tensor.copy_(self._receive())
        self.count(outgoing, incoming, rounds=0 if continues else 1)

    def swap_json(self, value: object) -> Any:
        self._send(value)
        return self._receive()

    def _send(self, message: Any) -> None:
        if len(self.sent) + 1 == self._cut_at:
            raise PeerDisconnectedError("cut here")
        self.watch()
        self.sent.append(message)
        self._out.put(message)

    def _receive(self) -> Any:
        message = self._into.get(timeout=_WAIT)
        if message is _CUT:
            raise PeerDisconnectedError("the other one is gone")
        return message

    def gone(self) -> None:
        self._out.put(_CUT)


class SchemeOfNothing:
    """What the driver uses of a scheme."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def announce(self, message: object) -> object:
        with self.session.meter.phase("control"):
            return self.session.channel.swap_json(message)


@dataclass
class Party:
    """One attempt of one party, in its folder. state or error: how it ended."""

    folder: Path
    rank: int
    channel: FaultyChannel
    own: Statistics
    questions: Questions
    sizes: HeadSizes
    answers: int
    repeats: int
    said: list[str] = field(default_factory=list)
    lines_when_sent: list[int] = field(default_factory=list)
    state: HeadState | None = None
    error: Exception | None = None

    @property
    def ledger(self) -> Path:
        return self.folder / "disclosures.jsonl"

    @property
    def store(self) -> HeadStore:
        return HeadStore(self.folder / "states" / HEAD_FILE, self.sizes.terms, "run one")

    def run(self) -> None:
        session = Session(
            channel=self.channel,
            provider=cast(Any, None),
            links=(),
            streams=StreamSet(),
            randomness="fresh",
            seed=0,
        )
        self.channel.watch = lambda: self.lines_when_sent.append(len(read_ledger(self.ledger)))
        try:
            with KeptLedger(self.ledger, run="one", peer=None) as ledger:
                peer = PARTY_NAMES[1 - self.rank]
                self.state = HeadDriver(
                    cast(SecureInferenceScheme, SchemeOfNothing(session)),
                    self.sizes,
                    self.own,
                    self.questions,
                    budget=HeadBudget(ledger, peer, answers=self.answers, repeats=self.repeats),
                    store=self.store,
                    say=self.said.append,
                ).run()
        except Exception as error:
            self.error = error
            self.channel.gone()


@dataclass
class Pair:
    """Both parties of a run, attempt after attempt in the same folders."""

    root: Path
    sizes: HeadSizes = field(default_factory=sizes)
    rows: tuple[int, int] = (200, 300)
    scales: tuple[float, float] = (1.0, 1.0)
    asks: tuple[int, int] = (6, 5)
    limits: tuple[int, int] = (6, 6)
    repeats: int = 2

    def attempt(self, cut: tuple[int | None, int | None] = (None, None)) -> tuple[Party, Party]:
        """cut: before which message each party is gone."""
        queues: tuple[queue.Queue[Any], queue.Queue[Any]] = (queue.Queue(), queue.Queue())
        parties = []
        for rank in (0, 1):
            folder = self.root / PARTY_NAMES[rank]
            folder.mkdir(parents=True, exist_ok=True)
            parties.append(
                Party(
                    folder=folder,
                    rank=rank,
                    channel=FaultyChannel(rank, queues[rank], queues[1 - rank], cut[rank]),
                    own=statistics(self.rows[rank], rank, self.scales[rank]),
                    questions=self.questions(rank),
                    sizes=self.sizes,
                    answers=self.limits[rank],
                    repeats=self.repeats,
                )
            )
        threads = [threading.Thread(target=party.run) for party in parties]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return parties[0], parties[1]

    def complete(self) -> tuple[Party, Party]:
        """Raises what either met."""
        parties = self.attempt()
        for party in parties:
            if party.error is not None:
                raise party.error
        return parties

    def questions(self, rank: int) -> Questions:
        rows_ND = with_constant(data(10, seed=rank)[0], CLIP_NORM)[: self.asks[rank]]
        return Questions(rows_ND=rows_ND, positions=torch.arange(len(rows_ND)))


def kinds(party: Party) -> list[tuple[str, int, int]]:
    """Of its ledger: kind, attempt, number."""
    return [(entry.kind, entry.attempt, entry.num_samples) for entry in read_ledger(party.ledger)]
