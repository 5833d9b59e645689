"""What the parties do in the tests of the dealer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from steps import one_way
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.crypten import CryptenScheme
from smule_crypten.models.translate import translate
from smule_crypten.mpc.dealing import AdditiveTriple, BinaryTriple, Request, SharedBit, SquarePair, plan
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.streams import Stream
from smule_crypten.transport.meeting import DEALER


class NotingProvider:
    """Stands in for CrypTen's provider and notes what CrypTen asks for."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self.asked: list[Request] = []

    def generate_additive_triple(self, size0: Any, size1: Any, op: Any, device: Any = None, **options: Any) -> Any:
        self.asked.append(AdditiveTriple(size_a=tuple(size0), size_b=tuple(size1), operation=op, **options))
        return self._provider.generate_additive_triple(size0, size1, op, device, **options)

    def generate_binary_triple(self, size0: Any, size1: Any, device: Any = None) -> Any:
        assert size0 == size1
        self.asked.append(BinaryTriple(size=tuple(size0)))
        return self._provider.generate_binary_triple(size0, size1, device)

    def square(self, size: Any, device: Any = None) -> Any:
        self.asked.append(SquarePair(size=tuple(size)))
        return self._provider.square(size, device)

    def B2A_rng(self, size: Any, device: Any = None) -> Any:
        self.asked.append(SharedBit(size=tuple(size)))
        return self._provider.B2A_rng(size, device)


def asked_and_planned(
    session: Session, model: nn.Module, inputs_NX: torch.Tensor
) -> tuple[list[Request], list[Request]]:
    """What CrypTen asks its own provider for during an exchange, and what the plan says."""
    noting: Any = NotingProvider(session.provider.crypten_provider)
    session.provider.crypten_provider = noting  # type: ignore[misc]
    one_way(session, model, inputs_NX)
    num_samples, *shape = inputs_NX.shape
    architecture = translate(model, tuple(shape)).architecture
    return noting.asked, list(plan(architecture, num_samples))


def speak_to_dealer(session: Session, *scripts: list[object]) -> list[object]:
    """This party's messages to the dealer, one after the other; what it answers to each."""
    (link,) = (link for link in session.links if link.peer == DEALER)
    answers = []
    for message in scripts[session.rank]:
        link.send_json(message)
        answers.append(link.receive_json()[0])
    return answers


@contextmanager
def noted_keys() -> Iterator[list[bytes]]:
    """Yields the keys of all streams that begin meanwhile, in order."""
    keys: list[bytes] = []
    original = Stream.__init__

    def begin(stream: Stream, key: bytes) -> None:
        keys.append(key)
        original(stream, key)

    with mock.patch.object(Stream, "__init__", begin):
        yield keys


def keys_of_exchanges(session: Session, num_exchanges: int) -> list[dict[str, bytes]]:
    """The key of each of this party's streams in each exchange; both directions have one with the dealer."""
    architecture = translate(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2)).architecture
    scheme = CryptenScheme(session, SchemeConfig(name="crypten"), (architecture, architecture))
    exchanges = []
    for index in range(1, num_exchanges + 1):
        with noted_keys() as keys:
            scheme.begin(index, (0, 0))
            for model_owner in (0, 1):
                session.provider.stream(model_owner)
        exchanges.append(dict(zip(("local", "prev", "next", "dealer, a", "dealer, b"), keys, strict=True)))
    return exchanges
