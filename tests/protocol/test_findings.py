"""What CrypTen 0.4.1 does wrong between two parties, and that the runtime does not."""

from __future__ import annotations

import crypten.common.rng
import pytest
import torch
from steps import (
    Unloadable,
    draws_during_exchange,
    fail,
    multiply,
    one_way,
    open_to_party_a,
    stock_counters,
    stock_reduce_to_party_a,
    trapped_generators,
    view_of_exchange,
    wait_for_stopped_peer,
    wire_counts,
)
from torch import nn

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.testing import PartyPool
from smule_crypten.types import centred


def _network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3))


INPUTS = torch.linspace(-1, 1, 2 * 16).reshape(2, 1, 4, 4)


def test_exchange_never_draws_from_torch(pool: PartyPool) -> None:
    """Protects: every share, mask and triple comes from the cipher streams (predictable generators leak weights)."""
    for dealt in (True, False):
        assert pool.run(draws_during_exchange, _network(), INPUTS, dealt=dealt) == [[], []]


def test_stock_crypten_draws_from_torch() -> None:
    """Negative control of the test above: outside a session CrypTen draws from torch.Generator."""
    with trapped_generators() as drawn:
        crypten.common.rng.generate_random_ring_element((1,), generator=torch.Generator())
    assert drawn == ["randint"]


def test_opening_reaches_the_owner_only(pool: PartyPool) -> None:
    """Protects: only the data owner learns the logits; the other party receives not one byte."""
    secret_NC = torch.arange(1000.0).view(100, 10)
    at_owner, at_other = pool.run(open_to_party_a, secret_NC)
    assert torch.equal(centred(at_owner.logits_NC), centred(secret_NC))
    assert at_owner.num_bytes == 8 * 1000
    assert at_other == (None, None, 0)


def test_what_the_classes_have_in_common_stays_hidden(pool: PartyPool) -> None:
    """Protects: the data owner learns differences of logits; one number a sample, new each time, hides the rest."""
    secret_NC = torch.randn(300, 10, generator=torch.Generator().manual_seed(0))
    (first, _), (again, _) = (pool.run(open_to_party_a, secret_NC) for _ in range(2))
    assert torch.equal(first.logits_NC, again.logits_NC)
    change_NC = first.elements_NC - again.elements_NC
    assert torch.equal(change_NC, change_NC[:, :1].expand(-1, 10))
    assert len(change_NC[:, 0].unique()) == 300
    seeded, _ = pool.run(open_to_party_a, secret_NC, randomness="seeded_insecure")
    offsets_N = seeded.elements_NC[:, 0] - (secret_NC[:, 0] * 2**16).long()
    bits = torch.stack([(offsets_N >> shift) & 1 for shift in range(20, 64)]).double()
    assert float((bits.mean() - 0.5).abs()) * 2 * bits.numel() ** 0.5 < 4


def test_stock_reduce_leaks_to_the_other_party(pool: PartyPool) -> None:
    """Negative control: gloo's reduce(dst) leaves parts of the sum at the party that should not learn it."""
    share = torch.arange(1, 1001)
    _, at_other = pool.run(stock_reduce_to_party_a, share)
    assert (at_other == 2 * share).float().mean() > 0.25


def test_counters_agree_with_a_hand_computed_product(pool: PartyPool) -> None:
    """Protects: exact bytes. A Beaver product of n elements opens x - a and y - b: 2 * 8 n bytes each way, 1 round."""
    for rank, (counted, in_crypten, logged) in enumerate(pool.run(multiply, 5)):
        assert (counted.rounds, counted.bytes_sent, counted.bytes_received) == (1, 80, 80)
        assert (in_crypten["rounds"], in_crypten["bytes"]) == (1, 160)
        assert in_crypten["time"] > 0
        assert [line.startswith("Rounds: 1, bytes: 160, ") for line in logged] == ([True] if rank == 0 else [])


def test_stock_counters_stay_at_zero(pool: PartyPool) -> None:
    """Negative control: CrypTen's own communicator counts nothing unless a flag is set."""
    assert pool.run(stock_counters, 5) == [{"rounds": 0, "bytes": 0, "time": 0}] * 2


def test_views_of_fresh_runs_differ_and_seeded_runs_repeat(pool: PartyPool) -> None:
    """Protects: fresh keys by default, and the repeatable mode that says that it is insecure."""
    first, again, seeded, repeated, other_seed = (
        pool.run(view_of_exchange, _network(), INPUTS, dealt=True, randomness=randomness, seed=seed)
        for randomness, seed in [("fresh", 3)] * 2 + [("seeded_insecure", 3)] * 2 + [("seeded_insecure", 4)]
    )
    for rank in (0, 1):
        assert _shares_in(first[rank]).isdisjoint(_shares_in(again[rank]))
        assert _shares_in(seeded[rank]).isdisjoint(_shares_in(other_seed[rank]))
        assert _without_keys(seeded[rank]) == _without_keys(repeated[rank])


def test_received_shares_look_uniform(pool: PartyPool) -> None:
    """Protects: what a party sees is masked; the mean bit of all that it receives is 1/2 at both parties."""
    views = pool.run(view_of_exchange, _network(), torch.zeros(64, 1, 4, 4), dealt=True)
    for view in views:
        elements = [tensor.flatten() for tensor in view if tensor.dtype == torch.int64]
        sign_bits = [values for values in elements if values.unique().tolist() == [0, 1]]
        ring = torch.cat([values for values in elements if values.unique().tolist() != [0, 1]])
        for masked, width in ((torch.cat(sign_bits), 1), (ring, 64)):
            bits = torch.stack([(masked >> shift) & 1 for shift in range(width)]).double()
            deviation = float((bits.mean() - 0.5).abs()) * 2 * bits.numel() ** 0.5
            assert deviation < 5, f"{deviation:.1f} standard deviations from uniform"


def test_stopped_peer_is_a_timeout(pool: PartyPool) -> None:
    """Protects: a party never waits beyond its deadline for a process that is stopped (stock: 30 minutes)."""
    at_a, at_b = pool.run(wait_for_stopped_peer, deadline_seconds=2.0)
    assert at_a.startswith("PeerTimeoutError: party b was silent for 2")
    assert at_b.startswith("Peer")


def test_failing_party_is_reported(pool: PartyPool) -> None:
    """Protects: the pool itself; a failure in one party is not silent (stock launcher returns None), nor its end."""
    with pytest.raises(RuntimeError, match="party b has a bug"):
        pool.run(fail)
    with pytest.raises(RuntimeError, match="this cannot be loaded here"):
        pool.run(fail, Unloadable())
    assert pool.run(stock_counters, 1)


def test_micro_batches_do_not_change_the_answer(pool: PartyPool) -> None:
    """Protects: splitting a query into micro-batches, odd remainder included, and its exact cost."""
    inputs = torch.linspace(-1, 1, 7 * 16).reshape(7, 1, 4, 4)
    whole, split = (
        pool.run(one_way, _network(), inputs, SchemeConfig(name="crypten", micro_batch=size), dealt=True)
        for size in (64, 3)
    )
    assert torch.allclose(whole[0][0].logits_NC, split[0][0].logits_NC, atol=1e-3)
    for prediction, predicted in split:
        assert wire_counts(prediction.cost) == wire_counts(predicted)


def _shares_in(view: list[torch.Tensor]) -> set[int]:
    """Every ring element that was received, but for those that coincide by chance: small ones, bits and sums."""
    elements = torch.cat([tensor.flatten() for tensor in view if tensor.dtype == torch.int64])
    return set(elements[elements.abs() >= 2**32].tolist())


def _without_keys(view: list[torch.Tensor]) -> list[list[object]]:
    """All but the first message, the entropy that parties swap and do not use in the seeded mode."""
    return [tensor.tolist() for tensor in view[1:]]
