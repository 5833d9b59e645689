"""The first messages between the parties, as a generator without I/O.

1. Both send the public configuration; a difference ends the run, named by key with both values.
2. Both send the architecture of their network, which the other one checks.
3. Both send a digest over all of it.

Parties that disagree on any of this would compute garbage without an error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.errors import HandshakeError, ModelError, RestartError, quoted
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.extent import check_extent
from smule_crypten.types import PARTY_NAMES

Architectures = tuple[Architecture, Architecture]

_CLASS_NAMES = "data.class_names"
_PUBLIC = "public_pool.digest"
_HEAD = "joint_head.name"
_MOST_SHOWN = 10
_KEY = re.compile(r"[a-z0-9_.]{1,100}")


def handshake(
    config: ProtocolConfig, rank: int, architecture: Architecture
) -> Generator[dict[str, Any], object, Architectures]:
    """Yields what to send, is sent what the peer said, returns the architectures of party a and party b.

    Raises:
        HandshakeError: the parties disagree, or the peer's message is malformed.
        ModelError: the party's own network is larger than both allow.
    """
    peer = PARTY_NAMES[1 - rank]
    check_extent(architecture, config.scheme.micro_batch, config.scheme.max_elements)
    own_config = config.model_dump(mode="json")
    theirs = yield {"rank": rank, "config": own_config}
    _expect_rank(theirs, 1 - rank)
    _compare(_field(theirs, "config", peer), own_config, peer)

    theirs = yield {"architecture": architecture.to_json()}
    peer_architecture = _checked_architecture(_field(theirs, "architecture", peer), config, peer)
    architectures = (architecture, peer_architecture) if rank == 0 else (peer_architecture, architecture)

    digest = agreement_digest(config, architectures)
    theirs = yield {"digest": digest}
    if _field(theirs, "digest", peer) != digest:
        raise HandshakeError(f"party {peer} arrived at another digest of the configuration; use the same version")
    return architectures


def run_handshake(
    steps: Generator[dict[str, Any], object, Architectures], swap: Callable[[object], object]
) -> Architectures:
    """Drive a handshake with swap(own message) -> peer's message."""
    try:
        message = next(steps)
        while True:
            message = steps.send(swap(message))
    except StopIteration as finished:
        architectures: Architectures = finished.value
        return architectures


def agreement_digest(config: ProtocolConfig, architectures: Architectures) -> str:
    """SHA-256 over the public configuration and both architectures, in hexadecimal."""
    parts = [config.digest(), *(architecture.digest() for architecture in architectures)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _field(message: object, key: str, peer: str) -> object:
    if not isinstance(message, dict) or key not in message:
        raise HandshakeError(f"party {peer} sent a handshake message without {key!r}; use the same version")
    return message[key]


def _expect_rank(message: object, rank: int) -> None:
    peer = PARTY_NAMES[rank]
    if _field(message, "rank", peer) != rank:
        raise HandshakeError(f"both parties claim the same rank; start party {peer} with RANK={rank}")


def _compare(theirs: object, own: Mapping[str, Any], peer: str) -> None:
    if not isinstance(theirs, dict):
        raise HandshakeError(f"party {peer} sent no configuration; use the same version")
    own_flat, their_flat = dict(_flatten(own)), dict(_flatten(theirs))
    pairs = {
        key: (own_flat.get(key, "absent"), their_flat.get(key, "absent"))
        for key in sorted(own_flat.keys() | their_flat.keys())
    }
    if len(set(pairs.get(_HEAD, ()))) > 1:
        # Where one side has no joint head, nothing else of it means anything.
        pairs = {key: both for key, both in pairs.items() if key == _HEAD or not key.startswith("joint_head.")}
    differing = [
        (key, own_value, their_value) for key, (own_value, their_value) in pairs.items() if own_value != their_value
    ]
    # What one side lacks comes first: all columns of a table that come after it have another number.
    differing.sort(key=lambda item: "absent" not in item[1:])
    differences = [
        f"{_shown_key(key)}: {_shown(own_value, their_value)} here, {_shown(their_value, own_value)} at party {peer}"
        for key, own_value, their_value in differing[:_MOST_SHOWN]
    ]
    if differences:
        more = f"; and {len(differing) - _MOST_SHOWN} more" if len(differing) > _MOST_SHOWN else ""
        advice = _advice_on_classes(*pairs[_CLASS_NAMES]) + _advice_on_public(pairs.get(_PUBLIC), peer)
        advice += _advice_on_head(pairs.get(_HEAD), peer)
        raise HandshakeError(f"the parties are configured differently: {'; '.join(differences)}{more}{advice}")


def _shown_key(key: str) -> str:
    """A key that this side knows is words of its own; others are shown as what they are."""
    return key if _KEY.fullmatch(key) else quoted(key)


def _shown(value: object, other: object) -> str:
    """`value` as text of a bounded length; of a long list the part where it begins to differ from the other one."""
    text = quoted(value)
    if text != repr(value) and isinstance(value, list) and isinstance(other, list):
        differing = (number for number, pair in enumerate(zip(value, other, strict=False)) if pair[0] != pair[1])
        first = next(differing, min(len(value), len(other)))
        text = f"{len(value)} values, from number {first} on {quoted(value[first : first + 3])}"
    return text


def _advice_on_classes(own: object, theirs: object) -> str:
    """What to do where both know the same classes, or only one side can say what its numbers mean."""
    known = [value for value in (own, theirs) if isinstance(value, list)]
    if len(known) == 1 and None in (own, theirs):
        return f". {_CLASS_NAMES}: one side numbers its classes only; name them there by data.options.class_names"
    if len(known) == 2 and known[0] != known[1] and sorted(map(str, known[0])) == sorted(map(str, known[1])):
        return (
            f". {_CLASS_NAMES}: these are the same classes in another order, so each would teach the other one wrong "
            "classes; number them in the same order at both sides, labels included, best alphabetically"
        )
    return ""


def _advice_on_public(digests: tuple[object, object] | None, peer: str) -> str:
    """What to do where one side has no public pool, or another one."""
    if digests is None or digests[0] == digests[1]:
        return ""
    if None in digests:
        there = f"party {peer}" if digests[0] is None else "this party"
        return f". public_pool: {there} alone allows public questions; both must name the same pool, or neither"
    return ". public_pool: the pools hold other samples, or are normalised otherwise; use the same file at both sides"


def _advice_on_head(names: tuple[object, object] | None, peer: str) -> str:
    """What to do where one side has no joint head."""
    if names is None or names[0] == names[1] or "none" not in names:
        return ""
    there = f"party {peer}" if names[0] == "none" else "this party"
    return f". joint_head: {there} alone chooses one; set joint_head=ridge at both sides, or at neither"


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            flat += _flatten(value, f"{prefix}{key}.")
        else:
            flat.append((f"{prefix}{key}", value))
    return flat


def _checked_architecture(value: object, config: ProtocolConfig, peer: str) -> Architecture:
    try:
        architecture = Architecture.from_json(value)
        check_extent(architecture, config.scheme.micro_batch, config.scheme.max_elements)
    except ModelError as error:
        raise HandshakeError(f"party {peer} sent an unusable architecture: {error}") from error
    found = (architecture.input_shape, architecture.output_shape)
    expected = (config.data.input_shape, (config.data.num_classes,))
    if found != expected:
        raise HandshakeError(
            f"party {peer}'s network maps {found[0]} to {found[1]}, expected {expected[0]} to {expected[1]}"
        )
    return architecture


def agree_on_start(completed: Sequence[int], oldest: int, swap: Callable[[object], object]) -> int:
    """The last exchange that both parties have saved a state of, 0 to begin with the first one.

    Args:
        completed: the exchanges that this party has saved states of.
        oldest: the first of them, or 0, that this party is willing to go on from.
        swap: own message -> peer's message.

    Raises:
        HandshakeError: the peer's message is malformed.
        RestartError: one of both is not willing to go back so far; both raise it.
    """
    theirs = swap({"completed": list(completed), "oldest": oldest})
    match theirs:
        case {"completed": list(peers), "oldest": int(peers_oldest)} if all(type(number) is int for number in peers):
            pass
        case _:
            raise HandshakeError(
                "the other party did not say which exchanges it completed; start the same command, of the same version"
            )
    start = max({0, *completed} & {0, *peers})
    if start >= max(oldest, peers_oldest):
        return start
    here, there = max(completed, default=0), max(peers, default=0)
    ahead = "this side" if start < oldest else "the other party"
    raise RestartError(
        f"this side has completed {here} exchange(s), the other one {there}, and {ahead} does not go back to {start}: "
        "states were lost, or are those of another run; restore them, or see docs/two-hosts.md (launch.accept_restart)"
    )
