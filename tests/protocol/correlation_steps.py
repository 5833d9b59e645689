"""What the parties do in the tests of correlations. A module of its own, so that spawned processes can import it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from steps import queries
from torch import nn

from smule_crypten.comparison import relu
from smule_crypten.comparison.widths import Widths, modulo
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.two_party.scheme import TwoPartyScheme, _plans
from smule_crypten.models.translate import translate
from smule_crypten.mpc.session import Session
from smule_crypten.oblivious.cots import Fields
from smule_crypten.oblivious.parameters import INSECURE_TINY, STANDARD, Plan
from smule_crypten.oblivious.script import Script, Send, Want
from smule_crypten.two_party.correlations import Correlations, Job, transfers_of
from smule_crypten.two_party.legs import jobs_of
from smule_crypten.types import Cost, centred

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


class TinyScheme(TwoPartyScheme):
    """Iterations are due every few ReLUs."""

    transfers = TINY


class Exchanges(NamedTuple):
    """What a party saw of some exchanges of the scheme, and what was said of them beforehand.

    costs: measured and said, of each. ahead: measured, of each, and what was said at most. run_ahead: said of all.
    taken: transfers of the own instance and of the peer's, measured and said. left: batches of material.
    """

    errors: list[float]
    costs: list[tuple[Cost, Cost]]
    ahead: list[tuple[Cost, Cost]]
    run_ahead: Cost
    taken: tuple[tuple[int, int], tuple[int, int]]
    left: int


def exchanges_of_scheme(session: Session, exchanges: Sequence[tuple[int, int]]) -> Exchanges:
    """Of networks of two widths, with some work of party b between the steps of what would be training."""
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, 3)) for width in (20, 9)]
    first, second = architectures = [translate(model, (16,)).architecture for model in models]
    rank, config = session.rank, SchemeConfig(name="two_party", precision_bits=14, micro_batch=2)
    scheme = TinyScheme(session, config, (first, second))
    inputs_NX = torch.randn(8, 16, generator=torch.Generator().manual_seed(rank))
    answerer = scheme.prepare_answers(models[rank], inputs_NX, NoiseRule.without_protection())
    errors, costs, ahead, said, before = list[float](), [], [], (0, 0), Cost()
    for number, counts in enumerate(exchanges):
        scheme.begin(number, counts)
        for _ in range(20 * rank):
            scheme.check()
        own_NX = inputs_NX[: counts[rank]]
        prediction = scheme.exchange(answerer, *queries(rank, counts, own_NX))
        error_NC = prediction.logits_NC - centred(models[1 - rank](own_NX).detach())
        errors.append(float(error_NC.abs().max()) if counts[rank] else 0.0)
        asking, answering = (
            scheme.cost_of(architectures[owner], counts[1 - owner], config, dealt=False) for owner in (1 - rank, rank)
        )
        costs.append((prediction.cost, scheme.combine(asking.data_owner, answering.model_owner)))
        after = Cost(**session.meter.state_dict()["by_phase"].get("correlations", {}))
        ahead.append((after - before, _of(rank, scheme.most_ahead((first, second), counts, config))))
        of_one = transfers_of(jobs_of(_plans((first, second), counts, config)))
        said, before = (said[0] + of_one[rank], said[1] + of_one[1 - rank]), after
    correlations = scheme._correlations
    taken = correlations._sender.end._taken, correlations._receiver.end._taken
    left = len(correlations._of_model_owner) + len(correlations._of_data_owner)
    run_ahead = _of(rank, scheme.all_ahead((first, second), exchanges, config))
    return Exchanges(errors, costs, ahead, run_ahead, (taken, said), left)


def _of(rank: int, cost: Cost) -> Cost:
    """What is said of party a, of the party of this rank."""
    return cost if rank == 0 else Cost(bytes_sent=cost.bytes_received, bytes_received=cost.bytes_sent)


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
