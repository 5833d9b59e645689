"""Public questions over the link of a session.

Whoever goes on from a state finds its own contribution and the key of its noise there. So its network gives the same
answers again in the exchange that was cut off; they tell nothing new, and are not charged a second time. The ledger
knows by a digest what answers follow from: network, order and noise. Where any has changed, they are new ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smule_crypten.errors import ProtocolError, quoted
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.public_questions import ORDER
from smule_crypten.training.private_trainer import SecretStream
from smule_crypten.types import PARTY_NAMES, Cost, Disclosure

_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class PublicSecrets:
    """32 bytes each, drawn once a run: contribution, which the other party will know, and noise, which nobody will.

    stream: makes a stream from 32 bytes of key.
    """

    contribution: bytes
    noise: bytes
    stream: Callable[[bytes], SecretStream]


class SessionLink:
    """A PublicLink over the session of a scheme.

    Args:
        sigma: standard deviation of the noise on each logit. Nothing is rounded that more of it would have to hide.
    """

    def __init__(
        self, scheme: SecureInferenceScheme, budget: QueryBudget, secrets: PublicSecrets, *, sigma: float
    ) -> None:
        self._scheme, self._budget, self._sigma = scheme, budget, sigma
        self._rank = scheme.session.rank
        self._own, self._noise, self._stream = secrets.contribution, secrets.noise, secrets.stream
        self._theirs: bytes | None = None
        self._key = b""
        self._repeats = False
        self._answers_NC = torch.empty(0)
        self._agreed = Cost()

    @property
    def repeats(self) -> bool:
        """Whether the next exchange was perhaps attempted before, and would get the same answers."""
        return self._repeats

    def agree(self, exchange: int) -> bytes:
        """One round. Who speaks last could choose among orders of public samples, and wins nothing by it."""
        meter = self._scheme.session.meter
        before = meter.total()
        message = self._scheme.announce({"public_questions": exchange, "contribution": self._own.hex()})
        self._agreed += meter.total() - before
        peer = PARTY_NAMES[1 - self._rank]
        theirs = _checked(message, exchange, peer)
        # Whoever was cut off before it saved anything draws again; later on both have what they drew.
        if self._theirs not in (None, theirs) and exchange > 1:
            raise ProtocolError(
                f"party {peer} changes its contribution to the choice of public questions; restart both"
            )
        self._theirs = theirs
        both = (self._own, theirs) if self._rank == 0 else (theirs, self._own)
        self._key = self._scheme.session.common_key(both, ORDER)
        return self._key

    def charge(self, disclosure: Disclosure, network: nn.Module) -> None:
        about = hashlib.sha256(self._noise + self._key)
        about.update(f"{disclosure.query_id} {disclosure.num_samples} {self._sigma!r}".encode())
        for name, values in network.state_dict().items():
            about.update(f"{name} {tuple(values.shape)} {values.dtype}".encode() + values.cpu().numpy().tobytes())
        self._budget.charge_public(disclosure, about=about.hexdigest())

    def conceal(self, logits_NC: torch.Tensor, exchange: int) -> torch.Tensor:
        """Noise of a key for this exchange, this sigma and these logits alone.

        Two answers that bear the same noise would show what lies between them without any.
        """
        if not self._sigma:
            return logits_NC
        purpose = f"public answers, exchange {exchange}, sigma {self._sigma!r}"
        content = hashlib.sha256(logits_NC.numpy().tobytes()).digest()
        stream = self._stream(hashlib.sha256(self._noise + content + purpose.encode()).digest())
        return logits_NC.double() + self._sigma * stream.normal(tuple(logits_NC.shape))

    def give(self, logits_NC: torch.Tensor) -> None:
        self._answers_NC = logits_NC

    def take(self, count: int, num_classes: int) -> tuple[torch.Tensor, Cost]:
        session = self._scheme.session
        self._scheme.settle()
        before, received_NC = session.meter.total(), torch.empty(count, num_classes)
        with session.meter.phase("public"):
            session.channel.transfer(
                [self._answers_NC] if len(self._answers_NC) else [], [received_NC] if count else []
            )
        agreed, self._agreed = self._agreed, Cost()
        return received_NC, agreed + (session.meter.total() - before)

    def state_dict(self) -> dict[str, Any]:
        return {
            "own": self._own.hex(),
            "theirs": None if self._theirs is None else self._theirs.hex(),
            "noise": self._noise.hex(),
            "sigma": self._sigma,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._own, self._noise = bytes.fromhex(state["own"]), bytes.fromhex(state["noise"])
        self._theirs = None if state["theirs"] is None else bytes.fromhex(state["theirs"])
        self._repeats = self._theirs is not None and state["sigma"] == self._sigma


def _checked(message: object, exchange: int, peer: str) -> bytes:
    match message:
        case {"public_questions": int(number), "contribution": str(text)} if number == exchange:
            try:
                contribution = bytes.fromhex(text)
            except ValueError:
                contribution = b""
            if len(contribution) == _BYTES:
                return contribution
            raise ProtocolError(f"party {peer} contributed {quoted(text)} to the choice of public questions")
    raise ProtocolError(f"party {peer} does not prepare the public questions of exchange {exchange}; restart both")
