"""The solve under sharing: both roles in one process, held against the ideal function, the cost, and uniformity."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch
from heads import integers, parties, plan_of, stream
from scipy.stats import chi2
from solving import Solve, rounds

from smule_crypten.errors import ProtocolError, TrainingError
from smule_crypten.joint_head import roles
from smule_crypten.joint_head.cost import solve_cost
from smule_crypten.joint_head.dealing import DealtProducts
from smule_crypten.joint_head.integers import as_weights, own_matrix, own_probes
from smule_crypten.joint_head.plan import PRECISION_BITS, VALUE_BITS
from smule_crypten.joint_head.roles import NOISE, PreconditionerRole, Talk
from smule_crypten.joint_head.solve_in_clear import exact_head, solve
from smule_crypten.mpc.packing import unpack
from smule_crypten.mpc.streams import Stream


@pytest.mark.parametrize(("alpha", "seed"), [(0.1, 1), (0.5, 0)])
def test_shares_add_up_to_the_ideal_function_bit_for_bit(alpha: float, seed: int) -> None:
    """Given the shares that decide the roundings: nothing else has any influence on the head."""
    first, second = parties(alpha, seed)
    plan = plan_of(first, second)
    one = Solve(plan, first, second, seed)
    share_P, share_Q, _ = one.run()
    recorded = iter(one.shares)
    ideal = solve(*integers(first, second, plan), plan.attempts[0], lambda shape: next(recorded).view(shape))
    assert torch.equal(share_P + share_Q, ideal.weights_DC)
    assert next(recorded, None) is None
    assert len(one.P.opened) == 1
    torch.testing.assert_close(
        as_weights(share_P + share_Q), exact_head(first + second, plan.ridge * plan.rows), atol=0.02, rtol=0
    )


def test_cost_is_exact() -> None:
    """Bytes and rounds that are known before the run are those of the run, of the dealer, too."""
    first, second = parties()
    plan = plan_of(first, second)
    one = Solve(plan, first, second)
    _, _, said = one.run()
    cost_P, cost_Q = solve_cost(plan, DealtProducts)
    sent = [sum(message.post.data.nbytes for message in said if message.by_first is by) for by in (True, False)]
    assert [cost_P.bytes_sent, cost_Q.bytes_sent] == sent
    assert [cost_P.bytes_received, cost_Q.bytes_received] == sent[::-1]
    assert [cost_P.dealer_bytes, cost_Q.dealer_bytes] == [one.dealt_bytes[True], one.dealt_bytes[False]]
    assert cost_P.rounds == cost_Q.rounds == rounds(said) == 2 * plan.iterations + 2


def test_dealer_and_parties_have_drawn_the_same() -> None:
    """No number of a stream is left over or taken twice: what is dealt next, another run or attempt, is still fresh."""
    first, second = parties()
    one = Solve(plan_of(first, second), first, second, seed=5)
    one.run()
    for purpose, party in (("T and P", one.dealt_P), ("T and Q", one.dealt_Q)):
        assert torch.equal(one.dealer_streams[purpose].ring_elements((1,)), party.ring_elements((1,)))
    assert torch.equal(one.common_P.ring_elements((1,)), one.common_Q.ring_elements((1,)))


def test_what_is_opened_is_the_probes_of_what_is_left_under_noise_of_both() -> None:
    """Number for number, from the streams of both: nothing else enters, and the noise is as large as it says."""
    first, second = parties(0.1, seed=1)
    plan = plan_of(first, second)
    one = Solve(plan, first, second, seed=3)
    one.run()
    recorded = iter(one.shares)
    left = solve(*integers(first, second, plan), plan.attempts[0], lambda _: next(recorded)).left_DC
    local_P, local_Q, common = stream(3, "P"), stream(3, "Q"), stream(3, "common")
    probes = own_probes(first, plan, local_P.normal((plan.probes, plan.features)))
    for shape in [(plan.features, plan.outputs)] * (1 + 3 * plan.iterations):
        common.ring_elements(shape)  # of the roundings
    factors = (common.normal((plan.probes, plan.outputs)) * 64).round()
    expected = ((probes @ left).double() * factors).sum(dim=1) / 2.0**42
    noise = sum(local.normal((plan.probes,)) for local in (local_P, local_Q)) * NOISE * math.sqrt(plan.outputs)
    opened = torch.tensor(one.P.opened[0], dtype=torch.float64)
    torch.testing.assert_close(opened, expected + noise, atol=1e-9, rtol=0)
    assert one.Q.opened == one.P.opened
    assert float(expected.square().mean()) < float(noise.square().mean()) / 5
    matrix, real = own_matrix(first, plan), as_weights(left)
    assert float(expected.square().mean()) < 4 * float((real * (matrix @ real)).sum())


def test_a_bound_that_is_too_small_is_noticed_and_doubled() -> None:
    """The second attempt goes on with the same masked matrices, and its head is as good as that of a right bound."""
    first, second = parties(0.1, seed=1)  # largest eigenvalue: 7.04
    plan = plan_of(first, second, bound=4.0)
    one = Solve(plan, first, second)
    share_P, share_Q, said = one.run()
    assert len(one.P.opened) == 2
    assert torch.tensor(one.P.opened[0]).square().mean() > 100 * plan.outputs * plan.tolerance**2
    torch.testing.assert_close(
        as_weights(share_P + share_Q), exact_head(first + second, plan.ridge * plan.rows), atol=0.02, rtol=0
    )
    sent = sum(message.post.data.nbytes for message in said)
    cost = solve_cost(plan, DealtProducts, attempts=2)[0]
    assert (cost.bytes_total, cost.rounds) == (sent, rounds(said))


def test_tolerance_is_the_root_of_the_mean_square_of_what_is_opened() -> None:
    """A head is accepted up to it and not beyond, per output."""
    first, second = parties()
    one = Solve(plan_of(first, second), first, second)
    one.run()
    opened = torch.tensor(one.P.opened[0], dtype=torch.float64)
    seen = float(opened.square().mean().sqrt()) / math.sqrt(first.outputs)
    for factor, attempts in ((1.001, 1), (0.999, 2)):
        tried = Solve(plan_of(first, second, tolerance=seen * factor), first, second)
        with contextlib.suppress(TrainingError):  # of a second attempt that has other numbers
            tried.run()
        assert tried.P.opened[0] == one.P.opened[0]
        assert len(tried.P.opened) == attempts


def test_two_failed_attempts_end_with_one_line() -> None:
    """A head that did not converge is never used."""
    first, second = parties(0.1, seed=1)
    with pytest.raises(TrainingError, match=r"did not converge with bounds of 1\.5 and 3; let the party"):
        Solve(plan_of(first, second, bound=1.5), first, second).run()


def test_sums_of_another_shape_are_refused() -> None:
    """Before anything is sent."""
    first, second = parties(features=5)
    plan = plan_of(*parties(features=6))
    with pytest.raises(ProtocolError, match=r"the plan is for \(7, 10\)"):
        Solve(plan, first, second)


def test_every_number_that_is_sent_is_uniform() -> None:
    """High and low bits of each number of each message over many runs with the same data, by a chi-squared test."""
    first, second = parties(features=2)
    plan = plan_of(first, second, iterations=2, probes=2, tolerance=1e3)
    runs = []
    for seed in range(256):
        _, _, said = Solve(plan, first, second, seed).run()
        data = [unpack(message.post.data, message.post.data.nbytes // 8, 64) for message in said]
        runs.append(torch.cat(data))
    numbers = torch.stack(runs)
    assert numbers.size(1) == 6 + 6 + 6 + 30 + 4 * 30 + 30 + 2 + 2
    least = chi2.isf(1e-6 / numbers.size(1), df=15)
    for digit in (numbers >> 60 & 15, numbers >> 20 & 15, numbers & 15):
        counts = torch.nn.functional.one_hot(digit, 16).sum(dim=0).double()
        statistic = ((counts - 16).square() / 16).sum(dim=1)
        assert float(statistic.max()) < least


def test_a_share_of_the_head_is_uniform() -> None:
    """W may be kept and used as it is: over many runs a party's share says nothing."""
    first, second = parties(features=2)
    plan = plan_of(first, second, iterations=2, probes=2, tolerance=1e3)
    shares = torch.stack([torch.stack(Solve(plan, first, second, seed).run()[:2]).flatten() for seed in range(256)])
    counts = torch.nn.functional.one_hot(shares >> 60 & 15, 16).sum(dim=0).double()
    assert float(((counts - 16).square() / 16).sum(dim=1).max()) < chi2.isf(1e-6 / counts.size(0), df=15)


def test_what_a_party_that_makes_up_its_probes_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/joint-head.md warns of, so that nobody takes the check's noise for a protection from such a party: P
    shifts what it hands over last by a column of its choice, and the 16 numbers are entries of the other one's sums."""
    first, second = parties()
    plan, column, shift = plan_of(first, second), 3, 64
    one = Solve(plan, first, second)
    factors, took = [], 0

    def preconditioned(weights: torch.Tensor) -> Talk:
        nonlocal took
        took += 1
        moved = weights.clone()
        if took == plan.iterations:
            moved[column] = moved[column] + (shift << VALUE_BITS)
        return (yield from PreconditionerRole._preconditioned(one.P, moved))

    def normal(size: tuple[int, ...]) -> torch.Tensor:
        factors.append(Stream.normal(one.common_P, size))
        return factors[-1]

    made_up = (own_matrix(first, plan)[: plan.probes] * 2.0**PRECISION_BITS).round().long()
    monkeypatch.setattr(roles, "own_probes", lambda *_: made_up)
    monkeypatch.setattr(one.P, "_preconditioned", preconditioned)
    monkeypatch.setattr(one.common_P, "normal", normal)
    share_P, share_Q, _ = one.run()
    entries = (second.gram_DD / plan.rows)[: plan.probes, column]
    due = -shift * entries * (factors[0] * 64).round().div(64).sum(dim=1)
    read = torch.tensor(one.P.opened[0], dtype=torch.float64)
    assert float(due.std()) > 30
    torch.testing.assert_close(read, due, atol=6 * NOISE * math.sqrt(2 * plan.outputs), rtol=0.01)
    # All that the other one sees: the second attempt is honest, and succeeds.
    assert len(one.Q.opened) == 2
    torch.testing.assert_close(
        as_weights(share_P + share_Q), exact_head(first + second, plan.ridge * plan.rows), atol=0.02, rtol=0
    )
