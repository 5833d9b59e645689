"""Tools for testing schemes and anything else that needs two parties.

`PartyPool` keeps two real processes alive and runs functions in both (party_pool.py); `check_scheme` is the contract of
`SecureInferenceScheme` as a callable suite, for the schemes here and for those of others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.contract_parties import (
    NOISY_SAMPLES,
    OUTPUTS,
    Case,
    MakeScheme,
    answerer_of_contract,
    noise_for_outputs_alike,
    noisy_answers,
    prepared,
    queries,
)
from smule_crypten.errors import ProtocolError, UnshareableModelError
from smule_crypten.inference.plaintext import evaluate_plaintext
from smule_crypten.models.translate import translate
from smule_crypten.mpc.packing import MAX_WIDTH, packed_bytes, unpack
from smule_crypten.mpc.provider import Dealt
from smule_crypten.mpc.session import Session
from smule_crypten.party_pool import PartyPool, RecordingChannel
from smule_crypten.types import Cost, LogitOpening, PeerPrediction, opened_logits

__all__ = ["PartyPool", "RecordingChannel", "appears", "check_scheme"]

_CHECKED = SchemeConfig(name="checked", micro_batch=2)
_FAR = 6.0
"""By how many standard errors noise may be off."""
_FEW = 6
_IMAGES, _SERIES, _VECTORS = (2, 4, 4), (2, 12), (9,)
_CASES: tuple[tuple[Case, tuple[tuple[int, int], ...]], ...] = (
    (Case(_VECTORS, "values", 1), ((5, 3),)),
    (Case(_IMAGES), ((1, 1), (5, 3), (4, 0), (0, 0))),
    (Case(_IMAGES, "values"), ((5, 3), (0, 4))),
    (Case(_SERIES), ((5, 3), (0, 4))),
    (Case(_VECTORS), ((5, 3),)),
)
"""What is opened of which networks, for so many samples of party a and party b; the smallest first."""
_NOISY = tuple(case for case, _ in _CASES[:-1])
"""Where noise is held against what is announced."""
_OTHER: dict[LogitOpening, LogitOpening] = {"differences": "values", "values": "differences"}


def check_scheme(
    pool: PartyPool,
    make_scheme: MakeScheme,
    *,
    dealt: bool,
    tolerance: float = 1e-3,
    config: SchemeConfig = _CHECKED,
) -> None:
    """Hold a scheme to its contract: shapes, batch sizes, accuracy, who learns what, noise, exact cost, error paths.

    All of it for what a scheme may open, "differences" and "values".

    Args:
        make_scheme: importable callable that builds the scheme in each party; a scheme class will do.
        dealt: whether to run with the dealer.
        tolerance: largest accepted absolute error of a logit of the small networks used here.
        config: what the scheme is built with; micro-batches of 2 split the queries of this suite unevenly.

    Raises:
        AssertionError: names the broken clause.
        RuntimeError: a party failed.
    """
    _check_noise_for_what_is_common(pool, make_scheme, config, dealt=dealt)
    for refused in pool.run(_refuses_differences_of_one_output, make_scheme, config, dealt=dealt):
        assert refused, "differences of a network of one output were accepted"
    for case, queries_of_both in _CASES:
        for counts in queries_of_both:
            outcomes = pool.run(_check_exchange, make_scheme, config, case, counts, dealt=dealt)
            for rank, (prediction, expected_NC, predicted_cost) in enumerate(outcomes):
                where = f"party {'ab'[rank]}, {case}, queries {counts}"
                _check_answer(where, counts[rank], prediction, expected_NC, tolerance)
                _check_cost(where, prediction.cost, predicted_cost)
        for adversary, leaked in pool.run(_check_model_owner_learns_nothing, make_scheme, config, case, dealt=dealt):
            assert adversary == "none" or not leaked, f"the model owner received {leaked}, {case}"
        for accepted in pool.run(_check_misuse, make_scheme, config, case, dealt=dealt):
            assert not accepted, f"misuses of the scheme were accepted: {', '.join(accepted)}; {case}"
        if case in _NOISY:
            _check_noise(pool, make_scheme, config, case, dealt=dealt, tolerance=tolerance)


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


def _check_noise(
    pool: PartyPool,
    make_scheme: MakeScheme,
    config: SchemeConfig,
    case: Case,
    *,
    dealt: bool,
    tolerance: float,
) -> None:
    """Each answer has normal noise of its own, as much as is announced: independent on each output, new each time."""
    config = config.model_copy(update={"micro_batch": NOISY_SAMPLES // 4})
    arguments = make_scheme, config, case
    (errors_NC, _), (_, sigma) = pool.run(noisy_answers, *arguments, dealt=dealt, randomness="seeded_insecure", seed=3)
    mean = float(errors_NC.mean(0).abs().max())
    assert mean <= _FAR * sigma / NOISY_SAMPLES**0.5 + tolerance, f"{case}: noise of mean {mean:.2e}"
    expected_CC = opened_logits(torch.eye(case.outputs, dtype=torch.float64), case.opening)
    found_CC = errors_NC.double().T.cov().reshape(expected_CC.shape) / sigma**2
    far = float((found_CC - expected_CC).abs().max())
    assert far <= _FAR * (2 / NOISY_SAMPLES) ** 0.5, (
        f"{case}: the noise is not of each output alone, or not what is announced: its covariance is off by {far:.2f} "
        "of its variance"
    )


def _check_noise_for_what_is_common(
    pool: PartyPool, make_scheme: MakeScheme, config: SchemeConfig, *, dealt: bool
) -> None:
    """With "values" the noise must hide what the errors of the outputs have in common, too."""
    single, alike = (
        pool.run(noise_for_outputs_alike, make_scheme, config, outputs, dealt=dealt) for outputs in (1, OUTPUTS)
    )
    for for_one, for_all in zip(single, alike, strict=True):
        # Their errors are nearly the same, so the length of all of them is that of one times the root of their number.
        enough = for_all >= 0.5 * (1 + OUTPUTS**0.5) * for_one
        assert enough, f"values: {OUTPUTS} outputs alike get noise of {for_all:.2e}, a single one {for_one:.2e}"


def _refuses_differences_of_one_output(session: Session, make_scheme: MakeScheme, config: SchemeConfig) -> bool:
    try:
        prepared(session, make_scheme, config, Case(_IMAGES, "differences", 1))
    except UnshareableModelError:
        prepared(session, make_scheme, config, Case(_IMAGES, "values", 1))  # which the dealer waits for
        return True
    return False


def _check_exchange(
    session: Session,
    make_scheme: MakeScheme,
    config: SchemeConfig,
    case: Case,
    counts: tuple[int, int],
) -> tuple[PeerPrediction, torch.Tensor, Cost]:
    scheme, models = prepared(session, make_scheme, config, case)
    asked, answered = queries(session, case, counts)
    answerer = answerer_of_contract(scheme, models[session.rank])
    scheme.begin(1, counts)
    prediction = scheme.exchange(answerer, asked, answered)
    peer_network = translate(models[1 - session.rank], case.shape)
    assert asked.inputs is not None
    expected_NC = evaluate_plaintext(peer_network, asked.inputs)
    own, peer = (scheme.architectures[rank] for rank in (session.rank, 1 - session.rank))
    dealt = isinstance(session.provider, Dealt)
    asking = scheme.cost_of(peer, counts[session.rank], scheme.config, dealt=dealt).data_owner
    answering = scheme.cost_of(own, counts[1 - session.rank], scheme.config, dealt=dealt).model_owner
    return prediction, opened_logits(expected_NC, case.opening), scheme.combine(asking, answering)


def _check_model_owner_learns_nothing(
    session: Session, make_scheme: MakeScheme, config: SchemeConfig, case: Case
) -> tuple[str, list[str]]:
    """Party a asks, party b only answers: which of a's inputs and logits appear in what b received?"""
    scheme, models = prepared(session, make_scheme, config, case)
    asked, answered = queries(session, case, (4, 0))
    answerer = answerer_of_contract(scheme, models[session.rank])
    scheme.begin(1, (4, 0))
    scheme.exchange(answerer, asked, answered)
    if session.rank == 0:
        return scheme.traits.adversary, []
    inputs = torch.randn(4, *case.shape, generator=torch.Generator().manual_seed(0))
    secrets = {"inputs": inputs, "logits": evaluate_plaintext(translate(models[1], case.shape), inputs)}
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
    """Whether any value of secret (large enough to be no coincidence) is in the clear in what was received."""
    targets = secret.flatten()[secret.flatten().abs() > 0.1]
    for tensor in received:
        if tensor.dtype == torch.uint8 or not tensor.numel():
            continue  # integers of some bits, below the smallest target at this scale
        scale = 1.0 if tensor.is_floating_point() else 2.0**16
        values = tensor.flatten().double() / scale
        if (values.unsqueeze(1) - targets).abs().min() < 1e-3:
            return True
    return False


def appears_packed(secret: torch.Tensor, received: list[torch.Tensor]) -> bool:
    """Whether some bytes that were received are secret as integers of some width, at whatever scale and offset.

    A few numbers are like any others up to scale and offset, so nothing is said of them.
    """
    count = secret.numel()
    if count < _FEW:
        return False
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


def _check_misuse(session: Session, make_scheme: MakeScheme, config: SchemeConfig, case: Case) -> list[str]:
    """The misuses that were not refused with a ProtocolError before anything was sent."""
    scheme, models = prepared(session, make_scheme, config, case)
    answerer = answerer_of_contract(scheme, models[session.rank])
    asked, answered = queries(session, case, (2, 2))
    other_config = config.model_copy(update={"micro_batch": config.micro_batch + 1})
    misuses: dict[str, Callable[[], object]] = {
        "a model of another architecture": lambda: answerer_of_contract(scheme, models[1 - session.rank]),
        "an answerer of another configuration": lambda: scheme.exchange(
            dataclasses.replace(answerer, config=other_config), asked, answered
        ),
        "an answerer of another opening": lambda: scheme.exchange(
            dataclasses.replace(answerer, scatter=dataclasses.replace(answerer.scatter, opening=_OTHER[case.opening])),
            asked,
            answered,
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
