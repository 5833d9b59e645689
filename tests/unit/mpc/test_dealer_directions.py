"""What the dealer deals for the two directions of an exchange, with schemes made for the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import pytest
import torch
from dealing_links import ScriptedLink, announcement, scheme, small_architecture, terms

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ProtocolError
from smule_crypten.models.architecture import Architecture
from smule_crypten.mpc.dealer import Deal, Dealer
from smule_crypten.mpc.dealing import stream_purpose
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.streams import Stream

DONE = {"done": True}
WAIT_SECONDS = 20.0
"""What comes together at once comes together within this time."""


def serve(schemes: Mapping[str, Deal], agreed: object, *announced: object) -> list[ScriptedLink]:
    """Let a dealer that knows these schemes serve two parties; the links to party a and b."""
    links = [ScriptedLink([{"rank": rank, "terms": agreed}, *announced, DONE]) for rank in (0, 1)]
    Dealer((links[0], links[1]), schemes, allow_insecure=True).serve()  # type: ignore[arg-type]
    return links


def echo(
    architecture: Architecture, num_samples: int, config: SchemeConfig, model_owner: Stream, data_owner: Stream
) -> Iterator[torch.Tensor]:
    """Sends what it was called with: no scheme would give the other party's stream away."""
    yield torch.tensor([num_samples, config.micro_batch, len(architecture.ops)])
    yield model_owner.ring_elements((4,))
    yield data_owner.ring_elements((4,))


def test_each_direction_gets_what_belongs_to_it() -> None:
    """Protects: network, count, options and streams of a direction; its corrections go to its model owner only."""
    larger = small_architecture()
    larger["ops"].append({"kind": "relu", "name": "last", "inputs": [2]})
    agreed = terms(
        architectures=[small_architecture(), larger],
        scheme=scheme(name="echo", micro_batch=9),
        randomness="seeded_insecure",
        seed=5,
    )
    links = serve({"echo": echo}, agreed, announcement(exchange=3, counts=[7, 2]))
    for model_owner, counts in ((0, [2, 9, 3]), (1, [7, 9, 4])):
        called, *drawn = (
            torch.frombuffer(bytearray(data), dtype=torch.int64) for data in links[model_owner].transferred
        )
        assert called.tolist() == counts
        for rank, elements in zip((model_owner, 1 - model_owner), drawn, strict=True):
            expected = Stream(insecure_key(5, stream_purpose(rank, 3, model_owner))).ring_elements((4,))
            assert torch.equal(elements, expected)


def test_no_two_streams_are_the_same() -> None:
    """Protects: parties, directions and exchanges have streams of their own; equal ones would repeat every mask."""
    agreed = terms(scheme=scheme(name="echo"))
    links = serve({"echo": echo}, agreed, announcement(exchange=1), announcement(exchange=2))
    drawn = [data for link in links for data in link.transferred if len(data) == 4 * 8]
    assert len(drawn) == len(set(drawn)) == 2 * 2 * 2


def test_both_directions_are_dealt_at_once() -> None:
    """Protects: a party that takes its corrections late does not hold up the other one's."""
    both_have_begun = threading.Barrier(2)

    def wait_for_the_other(*arguments: object) -> Iterator[torch.Tensor]:
        both_have_begun.wait(WAIT_SECONDS)
        yield torch.zeros(1)

    links = serve({"crypten": wait_for_the_other}, terms(), announcement(counts=[1, 1]))
    assert [len(link.transferred) for link in links] == [1, 1]


@pytest.mark.parametrize("model_owner", [0, 1])
def test_what_ends_one_direction_ends_the_dealer(model_owner: int) -> None:
    """Protects: an error in either thread is raised, and not lost with the thread."""

    def fail_in_one(
        architecture: Architecture, num_samples: int, config: SchemeConfig, first: Stream, second: Stream
    ) -> Iterator[torch.Tensor]:
        if num_samples == (2, 1)[model_owner]:
            raise ProtocolError("this direction cannot be dealt")
        yield torch.zeros(1)

    with pytest.raises(ProtocolError, match="this direction cannot be dealt"):
        serve({"crypten": fail_in_one}, terms(), announcement(counts=[1, 2]))
