"""Tools for testing schemes and anything else that needs two parties.

`PartyPool` keeps two real processes alive and runs functions in both (party_pool.py); `check_scheme` is the contract of
`SecureInferenceScheme` as a callable suite, for the schemes here and for those of others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ProtocolError
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.plaintext import evaluate_plaintext
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.architecture import Architecture, num_elements
from smule_crypten.models.translate import translate
from smule_crypten.mpc.packing import MAX_WIDTH, packed_bytes, unpack
from smule_crypten.mpc.provider import Dealt
from smule_crypten.mpc.session import Session
from smule_crypten.party_pool import PartyPool, RecordingChannel
from smule_crypten.types import Cost, InferenceQuery, InputShape, PeerPrediction, centred

__all__ = ["PartyPool", "RecordingChannel", "appears", "check_scheme"]

MakeScheme = Callable[[Session, SchemeConfig, tuple[Architecture, Architecture]], SecureInferenceScheme]
_CHECKED = SchemeConfig(name="checked", micro_batch=2)
_SHAPES: tuple[InputShape, ...] = ((2, 4, 4), (2, 12), (9,))
"""Of an image, a series and a vector."""


def check_scheme(
    pool: PartyPool,
    make_scheme: MakeScheme,
    *,
    dealt: bool,
    tolerance: float = 1e-3,
    config: SchemeConfig = _CHECKED,
) -> None:
    """Hold a scheme to its contract: shapes, batch sizes, accuracy, who learns what, exact cost, error paths.

    All of it with networks of images, of series (channels, time) and of vectors.

    Args:
        make_scheme: importable callable that builds the scheme in each party; a scheme class will do.
        dealt: whether to run with the dealer.
        tolerance: largest accepted absolute error of a logit of the small networks used here.
        config: what the scheme is built with; micro-batches of 2 split the queries of this suite unevenly.

    Raises:
        AssertionError: names the broken clause.
        RuntimeError: a party failed.
    """
    for shape in _SHAPES:
        for counts in ((1, 1), (5, 3), (4, 0), (0, 0)):
            outcomes = pool.run(_check_exchange, make_scheme, config, shape, counts, dealt=dealt)
            for rank, (prediction, expected_NC, predicted_cost) in enumerate(outcomes):
                where = f"party {'ab'[rank]}, inputs {shape}, queries {counts}"
                _check_answer(where, counts[rank], prediction, expected_NC, tolerance)
                _check_cost(where, prediction.cost, predicted_cost)
        for adversary, leaked in pool.run(_check_model_owner_learns_nothing, make_scheme, config, shape, dealt=dealt):
            assert adversary == "none" or not leaked, f"the model owner received {leaked}, inputs {shape}"
        for accepted in pool.run(_check_misuse, make_scheme, config, shape, dealt=dealt):
            assert not accepted, f"misuses of the scheme were accepted: {', '.join(accepted)}, inputs {shape}"


def _check_answer(
    where: str, count: int, prediction: PeerPrediction, expected_NC: torch.Tensor, tolerance: float
) -> None:
    assert prediction.logits_NC.shape == expected_NC.shape, f"{where}: shape {tuple(prediction.logits_NC.shape)}"
    assert prediction.logits_NC.dtype == torch.float32, f"{where}: dtype {prediction.logits_NC.dtype}"
    assert torch.equal(prediction.sample_ids, torch.arange(count)), f"{where}: sample ids changed"
    if count:
        error = float((prediction.logits_NC - expected_NC).abs().max())
        assert error <= tolerance, f"{where}: a logit is off by {error:.2e}, more than {tolerance:.0e}"


def _check_cost(where: str, measured: Cost, predicted: Cost) -> None:
    for name in ("rounds", "bytes_sent", "bytes_received", "dealer_bytes"):
        found, expected = getattr(measured, name), getattr(predicted, name)
        assert found == expected, f"{where}: {name} measured {found}, cost_of predicts {expected}"


def _networks(shape: InputShape) -> tuple[nn.Module, nn.Module]:
    """Two small networks, different on purpose, the same in both processes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        first = [nn.Linear(num_elements(shape), 6), nn.ReLU(), nn.Linear(6, 3)]
        if len(shape) == 1:
            return nn.Sequential(*first), nn.Sequential(
                nn.Linear(9, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
            ).eval()
        small = nn.Sequential(nn.Flatten(), *first)
        if len(shape) == 2:
            layers = [nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.AvgPool1d(2), nn.ReLU(), nn.MaxPool1d(2)]
            return small, nn.Sequential(*layers, nn.Flatten(), nn.Linear(12, 3)).eval()
        convolutional = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        )
    return small, convolutional.eval()


def _prepared(
    session: Session, make_scheme: MakeScheme, config: SchemeConfig, shape: InputShape
) -> tuple[SecureInferenceScheme, tuple[nn.Module, nn.Module]]:
    networks = _networks(shape)
    first, second = (translate(network, shape).architecture for network in networks)
    return make_scheme(session, config, (first, second)), networks


def _answerer(scheme: SecureInferenceScheme, network: nn.Module) -> Answerer:
    """Without noise."""
    shape = scheme.architectures[0].input_shape
    calibration_NX = torch.randn(64, *shape, generator=torch.Generator().manual_seed(9))
    return scheme.prepare_answers(network, calibration_NX, NoiseRule.without_protection())


def _queries(session: Session, shape: InputShape, counts: tuple[int, int]) -> tuple[InferenceQuery, InferenceQuery]:
    rank = session.rank
    inputs = torch.randn(counts[rank], *shape, generator=torch.Generator().manual_seed(rank))
    asked = InferenceQuery(
        query_id=1,
        model_owner=1 - rank,
        data_owner=rank,
        num_samples=counts[rank],
        model_step=0,
        sample_ids=torch.arange(counts[rank]),
        inputs=inputs,
    )
    answered = InferenceQuery(
        query_id=1, model_owner=rank, data_owner=1 - rank, num_samples=counts[1 - rank], model_step=0
    )
    return asked, answered


def _check_exchange(
    session: Session, make_scheme: MakeScheme, config: SchemeConfig, shape: InputShape, counts: tuple[int, int]
) -> tuple[PeerPrediction, torch.Tensor, Cost]:
    scheme, networks = _prepared(session, make_scheme, config, shape)
    asked, answered = _queries(session, shape, counts)
    answerer = _answerer(scheme, networks[session.rank])
    scheme.begin(1, counts)
    prediction = scheme.exchange(answerer, asked, answered)
    peer_network = translate(networks[1 - session.rank], shape)
    assert asked.inputs is not None
    expected_NC = evaluate_plaintext(peer_network, asked.inputs)
    own, peer = (scheme.architectures[rank] for rank in (session.rank, 1 - session.rank))
    dealt = isinstance(session.provider, Dealt)
    asking = scheme.cost_of(peer, counts[session.rank], scheme.config, dealt=dealt).data_owner
    answering = scheme.cost_of(own, counts[1 - session.rank], scheme.config, dealt=dealt).model_owner
    return prediction, centred(expected_NC), scheme.combine(asking, answering)


def _check_model_owner_learns_nothing(
    session: Session, make_scheme: MakeScheme, config: SchemeConfig, shape: InputShape
) -> tuple[str, list[str]]:
    """Party a asks, party b only answers: which of a's inputs and logits appear in what b received?"""
    scheme, networks = _prepared(session, make_scheme, config, shape)
    asked, answered = _queries(session, shape, (4, 0))
    answerer = _answerer(scheme, networks[session.rank])
    scheme.begin(1, (4, 0))
    scheme.exchange(answerer, asked, answered)
    if session.rank == 0:
        return scheme.traits.adversary, []
    inputs = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    secrets = {"inputs": inputs, "logits": evaluate_plaintext(translate(networks[1], shape), inputs)}
    assert isinstance(session.channel, RecordingChannel)
    received = session.channel.received
    leaked = [
        name
        for name, secret in secrets.items()
        if appears(secret, received)
        or any(appears_packed(part, received) for part in torch.split(secret, config.micro_batch))
    ]
    return scheme.traits.adversary, leaked


def appears(secret: torch.Tensor, received: list[torch.Tensor]) -> bool:
    """Whether any value of secret (large enough to be no coincidence) stands in the clear in what was received."""
    targets = secret.flatten()[secret.flatten().abs() > 0.1]
    for tensor in received:
        scale = 1.0 if tensor.is_floating_point() else 2.0**16
        values = tensor.flatten().double() / scale
        if (values.unsqueeze(1) - targets).abs().min() < 1e-3:
            return True
    return False


def appears_packed(secret: torch.Tensor, received: list[torch.Tensor]) -> bool:
    """Whether some bytes that were received are secret as integers of some width, at whatever scale and offset."""
    count = secret.numel()
    for tensor in received:
        widths = [width for width in range(2, MAX_WIDTH + 1) if packed_bytes(count, width) == tensor.nbytes]
        if tensor.dtype != torch.uint8:
            continue
        for unused in (MAX_WIDTH - width for width in widths):
            signed = (unpack(tensor, count, MAX_WIDTH - unused) << unused) >> unused
            pair = torch.stack([signed.double(), secret.flatten().double()])
            if bool(pair[0].std() > 0) and abs(float(torch.corrcoef(pair)[0, 1])) > 0.9999:
                return True
    return False


def _check_misuse(session: Session, make_scheme: MakeScheme, config: SchemeConfig, shape: InputShape) -> list[str]:
    """The misuses that were not refused with a ProtocolError before anything was sent."""
    scheme, networks = _prepared(session, make_scheme, config, shape)
    answerer = _answerer(scheme, networks[session.rank])
    asked, answered = _queries(session, shape, (2, 2))
    other_config = config.model_copy(update={"micro_batch": config.micro_batch + 1})
    misuses: dict[str, Callable[[], object]] = {
        "a model of another architecture": lambda: _answerer(scheme, networks[1 - session.rank]),
        "an answerer of another configuration": lambda: scheme.exchange(
            dataclasses.replace(answerer, config=other_config), asked, answered
        ),
        "inputs of another shape": lambda: scheme.exchange(
            answerer, dataclasses.replace(asked, inputs=torch.zeros(2, 1, 1, 1)), answered
        ),
        "no inputs": lambda: scheme.exchange(answerer, dataclasses.replace(asked, inputs=None), answered),
    }
    before, accepted = session.meter.total(), []
    for name, misuse in misuses.items():
        try:
            misuse()
        except ProtocolError:
            continue
        accepted.append(name)
    assert session.meter.total() == before, "a refused exchange still sent something"
    return accepted
