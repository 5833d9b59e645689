"""What the parties do in the protocol tests. A module of its own, so that spawned processes can import it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import torch
import torch.distributed as dist
from torch import nn

from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.errors import PeerError
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.network import open_logits, share_tensor
from smule_crypten.mpc.provider import Dealt
from smule_crypten.mpc.session import Session
from smule_crypten.testing import RecordingChannel
from smule_crypten.types import Cost, InferenceQuery, LogitOpening, PeerPrediction

_DRAWING_FUNCTIONS = ("randint", "rand", "randn", "randperm", "bernoulli", "normal", "multinomial")


CRYPTEN = SchemeConfig(name="crypten")
LEAN = SchemeConfig(name="lean", precision_bits=14)
"""As in conf/scheme/lean.yaml."""
TWO_PARTY = SchemeConfig(name="two_party")


def one_way(
    session: Session, model: nn.Module, inputs_NX: torch.Tensor, config: SchemeConfig = CRYPTEN
) -> tuple[PeerPrediction, Cost]:
    """Party b's model on party a's inputs: what this party got and what cost_of predicts for it."""
    return answered_one_way(*ready(session, model, inputs_NX, config), inputs_NX)


def ready(
    session: Session, model: nn.Module, inputs_NX: torch.Tensor, config: SchemeConfig
) -> tuple[SecureInferenceScheme, Answerer]:
    """A scheme in which both parties have this model, and that ready to answer without noise."""
    architecture = translate(model, tuple(inputs_NX.shape[1:])).architecture
    scheme = scheme_class(config.name)(session, config, (architecture, architecture))
    return scheme, scheme.prepare_answers(model, inputs_NX, NoiseRule.without_protection())


def answered_one_way(
    scheme: SecureInferenceScheme, answerer: Answerer, inputs_NX: torch.Tensor
) -> tuple[PeerPrediction, Cost]:
    session, config = scheme.session, scheme.config
    architecture = scheme.architectures[1]
    counts = len(inputs_NX), 0
    scheme.begin(1, counts)
    prediction = scheme.exchange(answerer, *queries(session.rank, counts, inputs_NX[: counts[session.rank]]))
    dealt = isinstance(session.provider, Dealt)
    predicted = scheme.cost_of(architecture, len(inputs_NX), config, dealt=dealt)
    return prediction, predicted.data_owner if session.rank == 0 else predicted.model_owner


def one_way_in_the_zoo(
    session: Session, model: ModelConfig, inputs_NX: torch.Tensor, config: SchemeConfig = CRYPTEN
) -> tuple[PeerPrediction, Cost]:
    """one_way with a network that each party builds for itself: torchvision's cannot travel between processes."""
    return one_way(session, build_model(model, tuple(inputs_NX.shape[1:]), 10, seed=0).eval(), inputs_NX, config)


def wire_counts(cost: Cost) -> tuple[int, int, int, int]:
    """What cost_of must predict exactly."""
    return cost.rounds, cost.bytes_sent, cost.bytes_received, cost.dealer_bytes


def queries(
    rank: int, counts: tuple[int, int], inputs_NX: torch.Tensor | None
) -> tuple[InferenceQuery, InferenceQuery]:
    """(asked, answered) of the party of this rank."""
    asked = InferenceQuery(
        query_id=1,
        model_step=0,
        model_owner=1 - rank,
        data_owner=rank,
        num_samples=counts[rank],
        sample_ids=torch.arange(counts[rank]),
        inputs=inputs_NX,
    )
    answered = InferenceQuery(
        query_id=1, model_step=0, model_owner=rank, data_owner=1 - rank, num_samples=counts[1 - rank]
    )
    return asked, answered


@contextmanager
def trapped_generators() -> Iterator[list[str]]:
    """Yields the names of torch's random functions that were called meanwhile."""
    drawn: list[str] = []
    originals = {name: getattr(torch, name) for name in _DRAWING_FUNCTIONS}
    for name, original in originals.items():
        setattr(torch, name, _noting(name, original, drawn))
    try:
        yield drawn
    finally:
        for name, original in originals.items():
            setattr(torch, name, original)


def _noting(name: str, original: Callable[..., Any], drawn: list[str]) -> Callable[..., Any]:
    def function(*arguments: Any, **keywords: Any) -> Any:
        drawn.append(name)
        return original(*arguments, **keywords)

    return function


def draws_during_exchange(session: Session, model: nn.Module, inputs_NX: torch.Tensor) -> list[str]:
    """From the keys to the answer; how an owner measures its network before is its own affair."""
    state = torch.get_rng_state()
    scheme, answerer = ready(session, model, inputs_NX, CRYPTEN)
    with trapped_generators() as drawn:
        answered_one_way(scheme, answerer, inputs_NX)
    assert torch.equal(state, torch.get_rng_state())
    return drawn


def view_of_exchange(session: Session, model: nn.Module, inputs_NX: torch.Tensor) -> list[torch.Tensor]:
    """Everything this party received from the other one during one exchange."""
    assert isinstance(session.channel, RecordingChannel)
    one_way(session, model, inputs_NX)
    return session.channel.received


class Opened(NamedTuple):
    """What a party has after an opening. elements: the ring elements that it can compute; num_bytes: received."""

    logits_NC: torch.Tensor | None
    elements_NC: torch.Tensor | None
    num_bytes: int


def open_to_party_a(session: Session, secret_NC: torch.Tensor, opening: LogitOpening = "differences") -> Opened:
    """Open party b's logits to party a, who then knows the received share and its own."""
    session.begin_exchange(1, (0, 0))
    shared = share_tensor(secret_NC if session.rank == 1 else None, tuple(secret_NC.shape), owner=1)
    assert isinstance(session.channel, RecordingChannel)
    num_received, before = len(session.channel.received), session.meter.total().bytes_received
    logits_NC = open_logits(session, shared, data_owner=0, opening=opening)
    received = session.channel.received[num_received:]
    elements_NC = shared.share + received[0] if received else None
    return Opened(logits_NC, elements_NC, session.meter.total().bytes_received - before)


@contextmanager
def stock_communicator(session: Session) -> Iterator[Any]:
    """CrypTen's own communicator between the same two processes, over gloo on loopback, not encrypted."""
    environment = {
        "DISTRIBUTED_BACKEND": "gloo",
        "GLOO_SOCKET_IFNAME": "lo",
        "RENDEZVOUS": f"{os.environ['SMULE_RENDEZVOUS']}.gloo",
        "WORLD_SIZE": "2",
        "RANK": str(session.rank),
    }
    saved = os.environ.copy()
    os.environ.update(environment)
    try:
        communicator = crypten.communicator.DistributedCommunicator()
        yield communicator
        communicator.barrier()
        dist.destroy_process_group()
    finally:
        os.environ.clear()
        os.environ.update(saved)


def stock_reduce_to_party_a(session: Session, share: torch.Tensor) -> torch.Tensor:
    """The buffer that torch.distributed.reduce(dst=0) leaves at this party, as stock CrypTen calls it."""
    buffer = share.clone()
    with stock_communicator(session) as communicator:
        dist.reduce(buffer, 0, group=communicator.main_group)
    return buffer


def multiply(session: Session, size: int) -> tuple[Cost, dict[str, Any], list[str]]:
    """One Beaver product of two shared vectors: what our meter, CrypTen's counters and its log say."""
    session.begin_exchange(1, (0, 0))
    x, y = (share_tensor(torch.ones(size), (size,), owner=owner) for owner in (0, 1))
    before = session.meter.total()
    crypten.reset_communication_stats()
    _ = x * y
    with mock.patch("logging.info") as log:
        crypten.print_communication_stats()
    logged = [str(call.args[0]) for call in log.call_args_list]
    return session.meter.total() - before, crypten.communicator.get().get_communication_stats(), logged


def stock_counters(session: Session, size: int) -> dict[str, Any]:
    """What stock CrypTen counts for one opening."""
    with stock_communicator(session) as communicator:
        communicator.all_reduce(torch.ones(size, dtype=torch.int64))
        stats: dict[str, Any] = communicator.get_communication_stats()
    return stats


def wait_for_stopped_peer(session: Session) -> str:
    """Party b's process is stopped while party a waits for it; how the wait ended."""
    peer_process = session.channel.swap_json(os.getpid())
    if session.rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    try:
        session.channel.receive((1,), torch.int64)
    except PeerError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        if session.rank == 0:
            os.kill(peer_process, signal.SIGCONT)
    return "received"


class Unloadable:
    """Can be sent to another process, which then cannot make sense of it."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _refuse_to_load, ()


def _refuse_to_load() -> None:
    raise ValueError("this cannot be loaded here")


def fail(session: Session) -> None:
    if session.rank == 1:
        raise RuntimeError("party b has a bug")
