from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from dealing_links import ENTROPY, ScriptedLink

from smule_crypten.errors import ConfigError, ProtocolError
from smule_crypten.mpc.dealing import (
    AdditiveTriple,
    BinaryTriple,
    Request,
    SharedBit,
    SquarePair,
    dealer_correction,
    stream_purpose,
)
from smule_crypten.mpc.keys import agreed_key, insecure_key
from smule_crypten.mpc.provider import Dealt, TrustedFirstParty
from smule_crypten.mpc.streams import Stream
from smule_crypten.transport.meter import CostMeter
from smule_crypten.types import Cost

PLANNED: list[Request] = [
    AdditiveTriple(size_a=(2, 3), size_b=(3, 4), operation="matmul"),
    AdditiveTriple(size_a=(1, 1, 4, 4), size_b=(2, 1, 2, 2), operation="conv2d", stride=(2, 2), padding=(1, 1)),
    AdditiveTriple(size_a=(5,), size_b=(5,), operation="mul"),
    BinaryTriple(size=(2, 3)),
    SquarePair(size=(4,)),
    SharedBit(size=(3,)),
]

ASKED: list[Callable[[Dealt], Any]] = [
    lambda provider: provider.generate_additive_triple(torch.Size([2, 3]), torch.Size([3, 4]), "matmul", device=None),
    lambda provider: provider.generate_additive_triple(
        torch.Size([1, 1, 4, 4]), torch.Size([2, 1, 2, 2]), "conv2d", stride=(2, 2), padding=(1, 1), groups=1
    ),
    lambda provider: provider.generate_additive_triple(torch.Size([5]), torch.Size([5]), "mul"),
    lambda provider: provider.generate_binary_triple(torch.Size([2, 3]), torch.Size([2, 3])),
    lambda provider: provider.square(torch.Size([4])),
    lambda provider: provider.B2A_rng(torch.Size([3])),
]
"""CrypTen's calls, in the order of PLANNED."""

ANSWER = {"entropy": ENTROPY}


def provider_of(rank: int, link: ScriptedLink, meter: CostMeter | None = None, randomness: str = "fresh") -> Dealt:
    provider = Dealt(link, rank, meter or CostMeter(), randomness, 0)  # type: ignore[arg-type]
    provider.begin_exchange(3, (1, 1))
    return provider


def _combined(first: Any, second: Any) -> torch.Tensor:
    """The secret behind two shares, additive or binary."""
    binary = "Binary" in type(first).__name__
    value: torch.Tensor = first.share ^ second.share if binary else first.share + second.share
    return value


def test_both_parties_get_what_was_planned() -> None:
    """Protects: keys, positions and corrections fit at the dealer and both parties, through CrypTen's own calls."""
    seeded = [insecure_key(0, f"dealer and party {name}, exchange 3, network of party b") for name in "ab"]
    at_dealer = [Stream(key) for key in seeded]
    corrections = [dealer_correction(request, at_dealer[1], at_dealer[0]) for request in PLANNED]
    meters = CostMeter(), CostMeter()
    links = ScriptedLink([ANSWER]), ScriptedLink([ANSWER], corrections)
    parties = [provider_of(rank, links[rank], meters[rank], "seeded_insecure") for rank in (0, 1)]
    for provider in parties:
        provider.begin_direction(1, iter(PLANNED))
    shares = [[ask(provider) for ask in ASKED] for provider in parties]
    values = [[_combined(a, b) for a, b in zip(*pair, strict=True)] for pair in zip(*shares, strict=True)]
    for (a, b, c), request in zip(values[:3], PLANNED, strict=False):
        assert isinstance(request, AdditiveTriple)
        assert torch.equal(c, request.product(a, b))
    assert torch.equal(values[3][2], values[3][0] & values[3][1])
    assert torch.equal(values[4][1], values[4][0] ** 2)
    assert torch.equal(values[5][0], values[5][1])
    for provider in parties:
        provider.finish()
    answer_bytes = 10
    assert meters[0].total() == Cost(dealer_bytes=answer_bytes)
    assert meters[1].total() == Cost(dealer_bytes=answer_bytes + 8 * (8 + 18 + 5 + 6 + 4 + 3))


UNPLANNED: list[Callable[[Dealt], Any]] = [
    lambda provider: provider.generate_additive_triple(torch.Size([3, 3]), torch.Size([3, 4]), "matmul"),
    lambda provider: provider.generate_additive_triple(torch.Size([2, 3]), torch.Size([2, 3]), "mul"),
    lambda provider: provider.generate_additive_triple(torch.Size([2, 3]), torch.Size([3, 4]), "matmul", stride=(2, 2)),
    lambda provider: provider.generate_binary_triple(torch.Size([2, 3]), torch.Size([2, 3])),
    lambda provider: provider.square(torch.Size([2, 3])),
    lambda provider: provider.B2A_rng(torch.Size([2, 3])),
]


@pytest.mark.parametrize("ask", UNPLANNED)
def test_other_requests_are_refused(ask: Callable[[Dealt], Any]) -> None:
    """Protects: a request that differs in kind, size, operation or option from the next planned one."""
    provider = provider_of(0, ScriptedLink([ANSWER]))
    provider.begin_direction(1, iter(PLANNED))
    with pytest.raises(ProtocolError, match=r"CrypTen asks for .*, the plan says AdditiveTriple"):
        ask(provider)


def test_same_sizes_with_another_stride_are_refused() -> None:
    """Protects: options of a convolution, which the sizes of its factors do not tell."""
    provider = provider_of(0, ScriptedLink([ANSWER]))
    provider.begin_direction(1, iter(PLANNED[1:2]))
    with pytest.raises(ProtocolError, match="the plan says"):
        provider.generate_additive_triple(torch.Size([1, 1, 4, 4]), torch.Size([2, 1, 2, 2]), "conv2d", padding=(1, 1))


@pytest.mark.parametrize("operation", ["conv1d", "conv_transpose1d", "__class__"])
def test_operations_that_are_never_dealt_are_refused(operation: str) -> None:
    """Protects: what CrypTen could ask for beyond inference ends in the promised error."""
    provider = provider_of(0, ScriptedLink([ANSWER]))
    with pytest.raises(ProtocolError, match="a triple that is never dealt: operation"):
        provider.generate_additive_triple(torch.Size([1]), torch.Size([1]), operation)
    with pytest.raises(ProtocolError, match="of two sizes"):
        provider.generate_binary_triple(torch.Size([1]), torch.Size([2]))


def test_nothing_is_dealt_without_a_plan() -> None:
    """Protects: CrypTen functions outside a planned direction."""
    with pytest.raises(ProtocolError, match="the plan says None"):
        ASKED[4](provider_of(0, ScriptedLink([ANSWER])))


@pytest.mark.parametrize("end", ["begin_direction", "finish"])
def test_requests_that_were_not_made_are_noticed(end: str) -> None:
    """Protects: a correction that was sent and not taken would be mistaken for the next one."""
    provider = provider_of(0, ScriptedLink([ANSWER]))
    provider.begin_direction(1, iter(PLANNED))
    with pytest.raises(ProtocolError, match="did not ask for AdditiveTriple"):
        provider.finish() if end == "finish" else provider.begin_direction(0, iter(()))


def test_shares_need_an_exchange() -> None:
    """Protects: nothing is drawn from a stream that has no key."""
    provider = Dealt(ScriptedLink([]), 0, CostMeter(), "fresh", 0)  # type: ignore[arg-type]
    for begin in (provider.stream, lambda model_owner: provider.begin_direction(model_owner, iter(PLANNED))):
        with pytest.raises(ProtocolError, match="call begin_exchange first"):
            begin(1)


def test_a_stream_is_given_out_once() -> None:
    """Protects: a stream that began anew would mask two values with the same numbers; each direction has its own."""
    provider = provider_of(0, ScriptedLink([ANSWER, ANSWER]))
    streams = [provider.stream(model_owner) for model_owner in (0, 1)]
    for model_owner in (0, 1):
        with pytest.raises(ProtocolError, match="in which this stream is unused; call begin_exchange first"):
            provider.stream(model_owner)
    provider.begin_exchange(4, (1, 1))
    streams += [provider.stream(model_owner) for model_owner in (0, 1)]
    assert len({stream.ring_elements((4,)).numpy().tobytes() for stream in streams}) == 4


def test_corrections_are_counted() -> None:
    """Protects: what a scheme of packed corrections takes from the dealer is its bytes, and counts as such."""
    meter = CostMeter()
    provider = provider_of(0, ScriptedLink([ANSWER], [torch.tensor([1, 2, 255], dtype=torch.uint8)]), meter)
    assert provider.correction(3).tolist() == [1, 2, 255]
    assert meter.total() == Cost(dealer_bytes=10 + 3)


def test_without_a_dealer_there_are_no_streams() -> None:
    """Protects: a scheme that needs a dealer says so, with the setting to change, where party a deals."""
    provider = TrustedFirstParty()
    for ask in (provider.stream, provider.correction):
        with pytest.raises(ConfigError, match="this scheme needs a dealer; set provider=dealer"):
            ask(1)


@pytest.mark.parametrize(
    "answer", [None, {}, [ENTROPY], {"entropy": 7}, {"entropy": ENTROPY[:-1] + "x"}, ANSWER | {"f": 1}]
)
def test_unusable_answers_are_refused(answer: object) -> None:
    """Protects: the dealer's contribution to a key is 256 bits in hexadecimal and nothing else."""
    with pytest.raises(ProtocolError, match="the dealer answered without entropy"):
        provider_of(0, ScriptedLink([answer]))


def test_dealer_must_agree() -> None:
    """Protects: no exchange with a dealer that did not confirm the terms."""
    provider = Dealt(ScriptedLink([{"agreed": True}, {"agreed": False}]), 0, CostMeter(), "fresh", 0)  # type: ignore[arg-type]
    provider.agree({})
    with pytest.raises(ProtocolError, match="did not agree"):
        provider.agree({})


def test_both_ends_contribute_to_a_fresh_key() -> None:
    """Protects: a party's stream follows from its own entropy, the dealer's, the party, the exchange and direction."""
    drawn = []
    for rank, answer in ((0, ANSWER), (1, ANSWER), (1, {"entropy": "00" * 32})):
        link = ScriptedLink([answer])
        provider = provider_of(rank, link)
        entropy = bytes.fromhex(link.told[0]["entropy"]), bytes.fromhex(answer["entropy"])
        for model_owner in (1 - rank, rank):
            key = agreed_key(
                entropy, f"dealer and party {'ab'[rank]}, exchange 3, network of party {'ab'[model_owner]}"
            )
            drawn.append(provider.stream(model_owner).ring_elements((4,)))
            assert torch.equal(drawn[-1], Stream(key).ring_elements((4,)))
    assert len({tuple(share.tolist()) for share in drawn}) == 6


def test_crypten_draws_from_the_stream_of_its_direction() -> None:
    """Protects: both directions have triples of their own, at the party and at the dealer alike."""
    for model_owner in (0, 1):
        provider = provider_of(1 - model_owner, ScriptedLink([ANSWER]), randomness="seeded_insecure")
        provider.begin_direction(model_owner, iter([SquarePair(size=(4,))]))
        key = insecure_key(0, stream_purpose(1 - model_owner, 3, model_owner))
        assert torch.equal(provider.square(torch.Size([4]))[0].share, Stream(key).ring_elements((4,)))
