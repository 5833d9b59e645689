"""The dealer: a third process that deals correlated randomness and sees no data.

1. Both parties state the public terms of the run; the dealer checks that they are the same and make sense.
2. Before an exchange both announce its index and the number of samples each asks about. An index is served once.
3. The dealer agrees on fresh stream keys with each party, then sends the model owner of each direction the
   corrections that the scheme's public plan asks for, as fast as the party takes them, both directions at once.

Nothing is executed by a name off the wire: the schemes are a table of this program's own, and the plan follows from
the checked architectures alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Protocol

import torch
from pydantic import Field, ValidationError

from smule_crypten.config.config_reading import describe_validation
from smule_crypten.config.schemes import SCHEME_TRAITS
from smule_crypten.config.sections import MAX_SEED, Randomness, SchemeConfig, Section
from smule_crypten.errors import HandshakeError, ModelError, ProtocolError
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.extent import check_extent
from smule_crypten.mpc.dealing import Entropy, stream_purpose
from smule_crypten.mpc.keys import agreed_key, fresh_entropy, insecure_key
from smule_crypten.mpc.streams import Stream
from smule_crypten.transport.channel import as_bytes
from smule_crypten.transport.frames import AGREED_JSON_BYTES
from smule_crypten.transport.link import Link
from smule_crypten.types import PARTY_NAMES

Deal = Callable[[Architecture, int, SchemeConfig, Stream, Stream], Iterator[torch.Tensor]]
"""(architecture, samples, scheme, stream of the model owner, of the data owner) -> corrections for the model owner."""

MAX_QUERIES = 1_000_000
Count = Annotated[int, Field(ge=0, le=MAX_QUERIES)]


class Terms(Section):
    """What the parties tell the dealer about a run. All of it is public."""

    architectures: tuple[dict[str, Any], dict[str, Any]] = Field(strict=False)
    scheme: SchemeConfig
    randomness: Randomness
    seed: int = Field(ge=0, le=MAX_SEED)

    def digest(self) -> str:
        """SHA-256 of their values, keys sorted."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Announcement(Section):
    """What a party says before an exchange; counts are the samples that party a and party b ask about."""

    exchange: int = Field(ge=1)
    counts: tuple[Count, Count] = Field(strict=False)
    entropy: Entropy


class Listener(Protocol):
    """Hears of what a dealer does, before it does so."""

    def stated(self, scheme: str, agreement: str) -> None:
        """Both parties have stated terms of this digest, which are accepted."""
        ...

    def dealt(self, index: int, counts: tuple[int, int]) -> None:
        """An exchange will now be dealt for; counts are as in Announcement."""
        ...


class Dealer:
    """Serves one run. links are those to party a and party b.

    Args:
        schemes: how each scheme is dealt, by name.
        listener: None where nobody wants to hear.
        allow_insecure: whether keys that follow from a seed are accepted, and schemes that give no protection.
    """

    def __init__(
        self,
        links: tuple[Link, Link],
        schemes: Mapping[str, Deal],
        *,
        allow_insecure: bool,
        listener: Listener | None = None,
    ) -> None:
        self._links = links
        self._listener = listener
        self._schemes = schemes
        self._allow_insecure = allow_insecure
        self._last_exchange = 0

    def serve(self) -> int:
        """Deal until both parties say that they are done; returns the number of exchanges served.

        Raises:
            HandshakeError: the parties state different or unacceptable terms.
            ProtocolError: an announcement is malformed, repeated, or different at the two parties.
            PeerError: a party is gone or silent.
        """
        terms = self._agree()
        try:
            architectures = tuple(Architecture.from_json(value) for value in terms.architectures)
            for architecture in architectures:
                check_extent(architecture, terms.scheme.micro_batch, terms.scheme.max_elements)
        except ModelError as error:
            raise HandshakeError(f"the terms hold an unusable architecture: {error}") from error
        if self._listener is not None:
            self._listener.stated(terms.scheme.name, terms.digest())
        for link in self._links:
            link.limit_messages(AGREED_JSON_BYTES)
            link.send_json({"agreed": True})
        exchanges = 0
        while True:
            messages = [link.receive_json()[0] for link in self._links]
            if all(message == {"done": True} for message in messages):
                return exchanges
            first, second = (_announcement(message, name) for message, name in zip(messages, PARTY_NAMES, strict=True))
            self._check(first, second)
            if self._listener is not None:
                self._listener.dealt(first.exchange, first.counts)
            self._deal(terms, architectures, (first, second))
            exchanges += 1

    def _agree(self) -> Terms:
        messages = [link.receive_json()[0] for link in self._links]
        stated = []
        for rank, message in enumerate(messages):
            if not isinstance(message, dict) or message.keys() != {"rank", "terms"} or message["rank"] != rank:
                raise HandshakeError(f"party {PARTY_NAMES[rank]} did not state rank and terms; use the same version")
            stated.append(message["terms"])
        if stated[0] != stated[1]:
            raise HandshakeError("the parties stated different terms to the dealer; compare their configurations")
        try:
            terms = Terms.model_validate(stated[0])
        except ValidationError as error:
            raise HandshakeError(f"the parties stated unusable terms: {describe_validation(error)}") from None
        traits = SCHEME_TRAITS.get(terms.scheme.name)
        if traits is not None and not traits.needs_dealer:
            raise HandshakeError(f"scheme={terms.scheme.name} has no dealer; start the two parties alone")
        if terms.scheme.name not in self._schemes:
            raise HandshakeError(f"this dealer does not know the scheme {terms.scheme.name!r}; use the same version")
        if traits is not None and traits.is_insecure and not self._allow_insecure:
            raise HandshakeError(f"the parties want scheme={terms.scheme.name}, which gives no protection; change it")
        if terms.randomness == "seeded_insecure" and not self._allow_insecure:
            raise HandshakeError("the parties want randomness=seeded_insecure, which this dealer does not allow")
        return terms

    def _check(self, first: Announcement, second: Announcement) -> None:
        if (first.exchange, first.counts) != (second.exchange, second.counts):
            raise ProtocolError(
                f"party a announces exchange {first.exchange} with {first.counts} queries, "
                f"party b exchange {second.exchange} with {second.counts}"
            )
        if first.exchange <= self._last_exchange:
            raise ProtocolError(f"exchange {first.exchange} was dealt before; nothing is dealt twice")
        self._last_exchange = first.exchange

    def _deal(
        self, terms: Terms, architectures: tuple[Architecture, ...], announced: tuple[Announcement, Announcement]
    ) -> None:
        """Both directions at once: neither party has to take its corrections before the other can go on."""
        streams = [self._streams(terms, rank, announced[rank]) for rank in (0, 1)]

        def deal_direction(model_owner: int) -> None:
            corrections = self._schemes[terms.scheme.name](
                architectures[model_owner],
                announced[0].counts[1 - model_owner],
                terms.scheme,
                streams[model_owner][model_owner],
                streams[1 - model_owner][model_owner],
            )
            for correction in corrections:
                self._links[model_owner].transfer([as_bytes(correction)], [])

        with ThreadPoolExecutor(2, thread_name_prefix="dealing") as pool:
            for outcome in [pool.submit(deal_direction, model_owner) for model_owner in (0, 1)]:
                outcome.result()

    def _streams(self, terms: Terms, rank: int, announced: Announcement) -> list[Stream]:
        """The streams with a party, one for each direction."""
        own = fresh_entropy()
        self._links[rank].send_json({"entropy": own.hex()})
        purposes = [stream_purpose(rank, announced.exchange, model_owner) for model_owner in (0, 1)]
        if terms.randomness == "seeded_insecure":
            return [Stream(insecure_key(terms.seed, purpose)) for purpose in purposes]
        entropy = bytes.fromhex(announced.entropy), own
        return [Stream(agreed_key(entropy, purpose)) for purpose in purposes]


def _announcement(message: object, name: str) -> Announcement:
    try:
        return Announcement.model_validate(message)
    except ValidationError as error:
        raise ProtocolError(f"party {name} announced no usable exchange: {describe_validation(error)}") from None
