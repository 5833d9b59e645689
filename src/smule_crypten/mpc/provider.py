"""Where CrypTen's correlated randomness comes from: the dealer, or party a in an insecure simulation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from pydantic import ValidationError

from smule_crypten.config.config_reading import describe_validation
from smule_crypten.config.sections import Randomness, Section
from smule_crypten.errors import ConfigError, ProtocolError
from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.dealing import (
    AdditiveTriple,
    BinaryTriple,
    Entropy,
    Request,
    SharedBit,
    Shares,
    SquarePair,
    correction_bytes,
    party_shares,
    stream_purpose,
)
from smule_crypten.mpc.keys import agreed_key, fresh_entropy, insecure_key
from smule_crypten.mpc.streams import Stream
from smule_crypten.transport.channel import as_bytes
from smule_crypten.transport.frames import AGREED_JSON_BYTES
from smule_crypten.transport.link import Link
from smule_crypten.transport.meter import CostMeter

READ_AHEAD_BYTES = 256 << 20
"""What a party holds of the corrections for an exchange to come; the dealer keeps the rest until then."""


class Provider(Protocol):
    """What the session and the schemes tell a provider; CrypTen itself asks for triples by its own names."""

    @property
    def crypten_provider(self) -> Any: ...

    def agree(self, terms: dict[str, Any]) -> None:
        """State the public terms of the run, the same at both parties."""
        ...

    def begin_exchange(self, index: int, counts: tuple[int, int]) -> None:
        """Prepare for exchange `index`, in which party a and party b ask about counts samples."""
        ...

    def begin_direction(self, model_owner: int, requests: Iterator[Request]) -> None:
        """What CrypTen is about to ask for, in order."""
        ...

    def stream(self, model_owner: int) -> Stream:
        """This party's stream with the dealer for one direction of the exchange: once, for it masks once.

        Raises:
            ConfigError: there is no dealer.
            ProtocolError: no exchange has begun, or the stream was given out before.
        """
        ...

    def correction(self, num_bytes: int) -> torch.Tensor:
        """The dealer's next correction to this party, uint8 (num_bytes,)."""
        ...

    def read_ahead(self) -> None:
        """Take in what has been dealt already, without waiting. Cheap; call it between the steps of other work."""
        ...

    def finish(self) -> None:
        """No exchange will follow."""
        ...


class TrustedFirstParty:
    """CrypTen's own: party a generates everything and could compute party b's secrets. Simulation only."""

    def __init__(self) -> None:
        self.crypten_provider: Any = crypten.mpc.provider.TrustedFirstParty()

    def agree(self, terms: dict[str, Any]) -> None:
        pass

    def begin_exchange(self, index: int, counts: tuple[int, int]) -> None:
        pass

    def begin_direction(self, model_owner: int, requests: Iterator[Request]) -> None:
        pass

    def stream(self, model_owner: int) -> Stream:
        raise ConfigError("this scheme needs a dealer; set provider=dealer")

    def correction(self, num_bytes: int) -> torch.Tensor:
        raise ConfigError("this scheme needs a dealer; set provider=dealer")

    def read_ahead(self) -> None:
        pass

    def finish(self) -> None:
        pass


class Dealt:
    """Shares from the stream that this party has in common with the dealer, and the dealer's corrections.

    It stands in for CrypTen's provider too: the methods below `begin_direction` are those that CrypTen calls.
    """

    def __init__(self, link: Link, rank: int, meter: CostMeter, randomness: Randomness, seed: int) -> None:
        self._link = link
        self._rank = rank
        self._meter = meter
        self._randomness = randomness
        self._seed = seed
        self._stream: Stream | None = None
        self._keys: dict[int, bytes] = {}
        self._requests: Iterator[Request] = iter(())
        self._is_corrected = False
        self.crypten_provider: Any = self

    def agree(self, terms: dict[str, Any]) -> None:
        self._link.send_json({"rank": self._rank, "terms": terms})
        if self._answer() != {"agreed": True}:
            raise ProtocolError("the dealer did not agree to the terms of the run; use the same version")
        self._link.limit_messages(AGREED_JSON_BYTES)

    def begin_exchange(self, index: int, counts: tuple[int, int]) -> None:
        own = fresh_entropy()
        self._link.send_json({"exchange": index, "counts": list(counts), "entropy": own.hex()})
        answer = self._answer()
        self._keys = {
            model_owner: stream_key(answer, own, self._rank, index, model_owner, self._randomness, self._seed)
            for model_owner in (0, 1)
        }

    def begin_direction(self, model_owner: int, requests: Iterator[Request]) -> None:
        self._expect_nothing_left()
        self._stream = self.stream(model_owner)
        self._requests = requests
        self._is_corrected = model_owner == self._rank

    def stream(self, model_owner: int) -> Stream:
        if model_owner not in self._keys:
            raise ProtocolError("no exchange has begun in which this stream is unused; call begin_exchange first")
        return Stream(self._keys.pop(model_owner))

    def correction(self, num_bytes: int) -> torch.Tensor:
        data = torch.empty(num_bytes, dtype=torch.uint8)
        self._link.transfer([], [as_bytes(data)])
        self._meter.record(dealer_bytes=num_bytes)
        return data

    def read_ahead(self) -> None:
        self._link.read_ahead(READ_AHEAD_BYTES)

    def finish(self) -> None:
        self._expect_nothing_left()
        self._link.send_json({"done": True})

    def generate_additive_triple(
        self, size0: torch.Size, size1: torch.Size, op: Any, device: object = None, **options: Any
    ) -> tuple[Any, ...]:
        try:
            asked = AdditiveTriple(size_a=tuple(size0), size_b=tuple(size1), operation=op, **options)
        except ValidationError as error:
            raise ProtocolError(
                f"CrypTen asks for a triple that is never dealt: {describe_validation(error)}"
            ) from None
        return tuple(_arithmetic(share) for share in self._shares(asked))

    def generate_binary_triple(self, size0: torch.Size, size1: torch.Size, device: object = None) -> tuple[Any, ...]:
        if size0 != size1:
            raise ProtocolError(f"CrypTen asks for a binary triple of two sizes, {tuple(size0)} and {tuple(size1)}")
        return tuple(_binary(share) for share in self._shares(BinaryTriple(size=tuple(size0))))

    def square(self, size: torch.Size, device: object = None) -> tuple[Any, ...]:
        return tuple(_arithmetic(share) for share in self._shares(SquarePair(size=tuple(size))))

    def B2A_rng(self, size: torch.Size, device: object = None) -> tuple[Any, Any]:
        bit, ring = self._shares(SharedBit(size=tuple(size)))
        return _arithmetic(ring), _binary(bit)

    def _shares(self, asked: Request) -> Shares:
        """This party's shares of what CrypTen asks for, which must be the next planned request."""
        planned = next(self._requests, None)
        if asked != planned:
            raise ProtocolError(f"CrypTen asks for {asked!r}, the plan says {planned!r}")
        if self._stream is None:
            raise ProtocolError("no exchange has begun; call begin_exchange first")
        correction = None
        if self._is_corrected:
            correction = self.correction(correction_bytes(asked)).view(torch.int64).view(asked.result_size)
        return party_shares(asked, self._stream, correction)

    def _answer(self) -> Any:
        answer, num_bytes = self._link.receive_json()
        self._meter.record(dealer_bytes=num_bytes)
        return answer

    def _expect_nothing_left(self) -> None:
        left = next(self._requests, None)
        if left is not None:
            raise ProtocolError(f"CrypTen did not ask for {left!r}, which the plan says")


class _Contribution(Section):
    entropy: Entropy


def stream_key(
    answer: object, own: bytes, rank: int, index: int, model_owner: int, randomness: Randomness, seed: int
) -> bytes:
    """The key of the stream between party `rank` and the dealer in one direction of exchange `index`.

    answer is what the dealer said; own is what this party contributes.
    """
    purpose = stream_purpose(rank, index, model_owner)
    if randomness == "seeded_insecure":
        return insecure_key(seed, purpose)
    try:
        contribution = _Contribution.model_validate(answer)
    except ValidationError:
        raise ProtocolError("the dealer answered without entropy; use the same version") from None
    return agreed_key((own, bytes.fromhex(contribution.entropy)), purpose)


def _arithmetic(share: torch.Tensor) -> Any:
    return crypten.mpc.primitives.ArithmeticSharedTensor.from_shares(share, precision=0)


def _binary(share: torch.Tensor) -> Any:
    return crypten.mpc.primitives.BinarySharedTensor.from_shares(share)
