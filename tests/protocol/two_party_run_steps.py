"""What the parties do in the tests of whole runs of the scheme of the two parties alone. Importable by processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from scheme_steps import CALIBRATION_SAMPLES, Shape
from steps import queries, wire_counts

from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.two_party.scheme import TwoPartyScheme
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.session import Session
from smule_crypten.oblivious.parameters import LpnSet, Plan
from smule_crypten.types import centred

_FEW = LpnSet(name="insecure_few", trees=64, log_size=10, depth=10, attacks=None)
TWO_PARTY = SchemeConfig(name="two_party", micro_batch=2)
Counts = tuple[int, int]


class OfFewTransfers(TwoPartyScheme):
    """An exchange takes many iterations of small parameters, which anyone can break."""

    transfers: ClassVar[Plan] = Plan(start=_FEW, main=_FEW)


class Ran(NamedTuple):
    """Of each exchange what was counted and what was predicted for it, and the largest error of a logit.

    traffic: by phase. set_up, ahead: what is predicted for the run, of this party.
    """

    counted: list[Any]
    predicted: list[Any]
    error: float
    traffic: dict[str, dict[str, int]]
    set_up: Any
    ahead: Any


def whole_run(
    session: Session,
    models: tuple[ModelConfig, ModelConfig],
    shape: Shape,
    exchanges: Sequence[Counts],
    begun_in_vain: int,
    checks: Counts,
) -> Ran:
    """checks: how often either party works ahead in each exchange. begun_in_vain: an exchange that begins twice."""
    rank = session.rank
    networks = [build_model(model, shape, 5, seed=0).eval() for model in models]
    first, second = (translate(network, shape).architecture for network in networks)
    scheme = OfFewTransfers(session, TWO_PARTY, (first, second))
    calibration_NX = torch.randn(CALIBRATION_SAMPLES, *shape, generator=torch.Generator().manual_seed(2))
    answerer = scheme.prepare_answers(networks[rank], calibration_NX, NoiseRule.without_protection())
    counted, predicted, error, made = [], [], 0.0, []
    for index, counts in enumerate(exchanges):
        for attempt in range(2 if index == begun_in_vain else 1):
            scheme.begin(2 * index + attempt, counts)
            made.append(counts)
            for _ in range(checks[rank]):
                scheme._correlations.work(0.005)
            assert scheme.announce(index) == index
        inputs_NX = torch.randn(counts[rank], *shape, generator=torch.Generator().manual_seed(rank))
        prediction = scheme.exchange(answerer, *queries(rank, counts, inputs_NX))
        asking = scheme.cost_of(scheme.architectures[1 - rank], counts[rank], scheme.config, dealt=False).data_owner
        answering = scheme.cost_of(scheme.architectures[rank], counts[1 - rank], scheme.config, dealt=False).model_owner
        counted.append(wire_counts(prediction.cost))
        predicted.append(wire_counts(scheme.combine(asking, answering)))
        if counts[rank]:
            with torch.no_grad():
                right_NC = centred(networks[1 - rank](inputs_NX))
            error = max(error, float((prediction.logits_NC - right_NC).abs().max()))
    ahead = scheme.all_ahead(scheme.architectures, made, scheme.config)
    traffic = session.meter.state_dict()["by_phase"]
    of_own = (ahead.bytes_sent, ahead.bytes_received)
    return Ran(
        counted, predicted, error, traffic, wire_counts(scheme.set_up_cost()), of_own if rank == 0 else of_own[::-1]
    )
