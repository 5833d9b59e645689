"""What the parties do in the tests of correlations. A module of its own, so that spawned processes can import it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from smule_crypten.comparison import relu
from smule_crypten.comparison.widths import Widths, modulo
from smule_crypten.inference.two_party.correlations import Correlations, Job
from smule_crypten.mpc.session import Session
from smule_crypten.oblivious.cots import Fields
from smule_crypten.oblivious.parameters import INSECURE_TINY, STANDARD, Plan
from smule_crypten.oblivious.script import Script, Send, Want

WIDTHS = Widths(18, 6, 32)
TINY = Plan(start=INSECURE_TINY, main=INSECURE_TINY)


class Taken(NamedTuple):
    """This party's shares of the ReLUs of each job, and its counts by phase."""

    shares: list[Fields]
    traffic: dict[str, dict[str, int]]


def exchanges_taken(
    session: Session, exchanges: Sequence[Sequence[Job]], values: Fields, slices: tuple[int, int]
) -> Taken:
    """Make the material of some exchanges, talk in JSON before each, and take it all: ReLUs of the first `values`.

    slices: how often party a and party b work before they settle.
    """
    correlations = Correlations.open(session, plan=TINY)
    shares = []
    for number, jobs in enumerate(exchanges):
        correlations.need(jobs)
        for _ in range(slices[session.rank]):
            correlations.work(0.001)
        correlations.settle()
        correlations.settle()
        with session.meter.phase("control"):
            assert session.channel.swap_json(number) == number
        with session.meter.phase("online"):
            shares += [_relu(session, correlations, job, values[: job.count]) for job in jobs]
    return Taken(shares, session.meter.state_dict()["by_phase"])


def set_up(session: Session) -> dict[str, int]:
    """What a set-up of the standard plan is counted as."""
    Correlations.open(session, plan=STANDARD)
    return session.meter.state_dict()["by_phase"]["set-up"]


def _relu(session: Session, correlations: Correlations, job: Job, values: Fields) -> Fields:
    """This party's share. D holds whole units v, M holds the value less v."""
    widths, count = job.widths, job.count
    v = np.random.default_rng(count).integers(0, 1 << widths.width, count, dtype=np.uint64)
    if job.model_owner == session.rank:
        own = correlations.model_owner_material()
        ready = _played(session, relu.prepare_model_owner(widths, count, own))
        share: Fields = _played(session, relu.relu_model_owner(widths, ready, modulo(values - v, widths.width)))
        return share
    theirs = correlations.data_owner_material()
    prepared = _played(session, relu.prepare_data_owner(widths, v << np.uint64(widths.guard_bits), theirs))
    share = _played(session, relu.relu_data_owner(widths, prepared))
    return share


def _played(session: Session, script: Script[Any]) -> Any:
    answer = None
    while True:
        try:
            step = script.send(answer)
        except StopIteration as end:
            return end.value
        answer = None
        if isinstance(step, Send):
            session.channel.send(torch.from_numpy(step.data))
        elif isinstance(step, Want):
            answer = session.channel.receive([step.num_bytes], torch.uint8).numpy()
