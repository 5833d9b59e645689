"""What the parties do in the tests of the scheme of the two parties alone, importable by spawned processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from unittest import mock

import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from steps import queries, ready
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.lattice import handover
from smule_crypten.lattice.ring import ternary
from smule_crypten.mpc.session import Session
from smule_crypten.mpc.streams import Stream
from smule_crypten.testing import RecordingChannel
from smule_crypten.two_party import set_up

TWO_PARTY = SchemeConfig(name="two_party", precision_bits=14, micro_batch=2)
Variant = Callable[[], AbstractContextManager[None]]

NUM_QUERIES = 4
"""Two micro-batches."""


@contextmanager
def stored_randomness() -> Iterator[None]:
    """Broken: the instances of silent transfer begin with what an earlier run had kept."""
    encryptor = Cipher(algorithms.AES(bytes(16)), modes.CTR(bytes(16))).encryptor()
    with mock.patch.object(set_up, "os", SimpleNamespace(urandom=lambda count: encryptor.update(bytes(count)))):
        yield


@contextmanager
def one_secret_for_all() -> Iterator[None]:
    """Broken: D's secrets are the same in each micro-batch, and so are its errors of p."""

    def same(local: Stream, count: int, degree: int) -> torch.Tensor:
        return ternary(Stream(bytes(32)), count, degree)

    with (
        mock.patch.object(handover, "ternary", same),
        mock.patch.object(handover, "errors", lambda local, size: torch.zeros(size, dtype=torch.int64)),
    ):
        yield


@contextmanager
def as_it_is() -> Iterator[None]:
    yield


def heard(
    session: Session, model: nn.Module, inputs_NX: torch.Tensor, exchanges: int, variant: Variant = as_it_is
) -> list[bytes]:
    """All that this party hears from set-up to the end, where party a asks party b about the same images each time."""
    assert isinstance(session.channel, RecordingChannel)
    with variant():
        scheme, answerer = ready(session, model, inputs_NX, TWO_PARTY)
        for index in range(exchanges):
            scheme.begin(index, (NUM_QUERIES, 0))
            own = inputs_NX if session.rank == 0 else inputs_NX[:0]
            scheme.exchange(answerer, *queries(session.rank, (NUM_QUERIES, 0), own))
    return [tensor.contiguous().view(torch.uint8).numpy().tobytes() for tensor in session.channel.received]
