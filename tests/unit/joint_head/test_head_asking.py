"""Asking the joint head: held against a product in the clear, its cost, and uniformity."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from heads import CLIP_NORM, digits, parties, stream
from scipy.stats import chi2
from solving import Said, converse, rounds

from smule_crypten.errors import ConfigError, DataError, ProtocolError
from smule_crypten.joint_head.asking import (
    FEATURE_BITS,
    FLOODING,
    OUTPUT_BITS,
    AskingPlan,
    AskingSide,
    HeadDataOwner,
    HeadModelOwner,
    asking_cost,
)
from smule_crypten.joint_head.asking_products import SIZES, AskingDealer, DealtAsking, LatticeAsking, check_noise
from smule_crypten.joint_head.plan import VALUE_BITS
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import with_constant
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.packing import unpack
from smule_crypten.types import LogitOpening

NOISE = 0.04


def head() -> torch.Tensor:
    first, second = parties()
    return (exact_head(first + second, 130.0) * (1 << VALUE_BITS)).round().long()


KINDS: list[type[AskingSide]] = [DealtAsking, LatticeAsking]


def plan_for(weights: torch.Tensor, batches: list[int], noise: float, opening: LogitOpening) -> AskingPlan:
    sizes = {"features": len(weights), "outputs": weights.size(1)}
    return AskingPlan(**sizes, batches=tuple(batches), noise=noise, opening=opening)


def sides(kind: type[AskingSide], plan: AskingPlan, seed: int) -> tuple[AskingSide, AskingSide]:
    """Of M and of D."""
    if kind is LatticeAsking:
        key = insecure_key(seed, "public")
        bare = plan.noise == 0
        return (
            LatticeAsking(plan, key, stream(seed, "masks M"), insecure_noise=bare),
            LatticeAsking(plan, key, stream(seed, "masks D"), insecure_noise=bare),
        )
    dealer = AskingDealer(plan, stream(seed, "T and M"), stream(seed, "T and D"))
    corrections = iter([dealer.correction(batch) for batch in plan.batches])

    def receive(size: int) -> torch.Tensor:
        data = next(corrections)
        assert data.nbytes == size
        return data

    return DealtAsking(plan, stream(seed, "T and M")), DealtAsking(plan, stream(seed, "T and D"), receive)


def ask(
    kind: type[AskingSide],
    rows_ND: torch.Tensor,
    batches: list[int],
    *,
    opening: LogitOpening = "differences",
    noise: float = NOISE,
    seed: int = 0,
    weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, list[Said]]:
    """The answer, and all that was said."""
    weights = head() if weights is None else weights
    share_M = stream(seed, "share").ring_elements(tuple(weights.shape))
    plan = plan_for(weights, batches, noise, opening)
    side_M, side_D = sides(kind, plan, seed)
    model_owner = HeadModelOwner(plan, share_M, side=side_M, local=stream(seed, "M"))
    data_owner = HeadDataOwner(plan, weights - share_M, rows_ND, side=side_D)
    _, answer, said = converse(model_owner, data_owner)
    return answer, said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opening", ["differences", "values"])
def test_without_noise_answers_are_those_of_the_clear_head(opening: LogitOpening, kind: type[AskingSide]) -> None:
    """With a dealer integer for integer, on features rounded as stated; several batches, of which the last is smaller.

    Without one, off by no more than eight of the stated deviations.
    """
    rows_ND = with_constant(digits()[0][1200:1230], CLIP_NORM)
    answer, _ = ask(kind, rows_ND, [12, 12, 6], opening=opening, noise=0.0)
    rounded_ND = (rows_ND * (1 << FEATURE_BITS)).round()
    expected = rounded_ND @ head().double() / 2.0**OUTPUT_BITS
    first, second = parties()
    plain = rows_ND @ exact_head(first + second, 130.0)
    if opening == "differences":
        expected = expected - expected.mean(dim=1, keepdim=True)
        plain = plain - plain.mean(dim=1, keepdim=True)
    longest = float(rounded_ND.norm(dim=1).max()) * math.sqrt(12)  # as if all rows shared a polynomial
    stated = 0.0 if kind is DealtAsking else SIZES.deviation(longest) / 2.0**OUTPUT_BITS
    torch.testing.assert_close(answer, expected, atol=8 * stated + 1e-12, rtol=0)
    assert stated < FLOODING / 100
    torch.testing.assert_close(answer, plain, atol=0.01, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_as_large_as_agreed_and_fresh(kind: type[AskingSide]) -> None:
    """The same question asked twice has two answers: fresh noise floods what a lattice is off by, and nothing else."""
    rows_ND = with_constant(digits()[0][1200:1300], CLIP_NORM)
    exact, _ = ask(kind, rows_ND, [100], opening="values", noise=0.0)
    first, _ = ask(kind, torch.cat([rows_ND, rows_ND]), [100, 100], opening="values")
    errors = first.view(2, 100, 10) - exact
    assert float(errors.std()) == pytest.approx(NOISE, rel=0.1)
    assert abs(float((errors[0] * errors[1]).mean())) < 5 * NOISE**2 / math.sqrt(1000)


@pytest.mark.parametrize("kind", KINDS)
def test_cost_of_asking_is_exact(kind: type[AskingSide]) -> None:
    """Known before: bytes both ways, and rounds. (The dealer's are compared where they are received.)"""
    rows_ND = with_constant(digits()[0][:25], CLIP_NORM)
    answer, said = ask(kind, rows_ND, [10, 10, 5])
    assert answer.shape == (25, 10)
    cost = asking_cost(plan_for(head(), [10, 10, 5], NOISE, "differences"), kind)
    by_model_owner, by_data_owner = (
        sum(one.post.data.nbytes for one in said if one.by_first is by) for by in (True, False)
    )
    assert (cost.model_owner.bytes_sent, cost.model_owner.bytes_received) == (by_model_owner, by_data_owner)
    assert (cost.data_owner.bytes_sent, cost.data_owner.bytes_received) == (by_data_owner, by_model_owner)
    assert cost.data_owner.dealer_bytes == (25 * 10 * 4 if kind is DealtAsking else 0)
    assert cost.data_owner.rounds == cost.model_owner.rounds == rounds(said)
    assert ask(kind, rows_ND[:0], [])[0].shape == (0, 10)
    assert asking_cost(plan_for(head(), [], NOISE, "values"), kind).data_owner.bytes_total == 0


def test_what_both_see_is_uniform() -> None:
    """All numbers that are sent, over many runs with the same head and samples; what D adds up is no message."""
    weights = head()[:4, :3]
    rows_ND = with_constant(digits(3)[0][:2], CLIP_NORM)
    runs = []
    for seed in range(256):
        _, said = ask(DealtAsking, rows_ND, [1, 1], seed=seed, weights=weights)
        runs.append(torch.cat([unpack(one.post.data, one.post.data.nbytes // 4, 32) for one in said]))
    numbers = torch.stack(runs)
    assert numbers.size(1) == 12 + 2 * 4 + 2 * 3
    for digit in (numbers >> 28 & 15, numbers & 15):
        counts = torch.nn.functional.one_hot(digit, 16).sum(dim=0).double()
        assert float(((counts - 16).square() / 16).sum(dim=1).max()) < chi2.isf(1e-6 / numbers.size(1), df=15)


class _WithItsView(HeadDataOwner):
    """Keeps what it can add up to, before it takes differences."""

    seen: torch.Tensor

    def _in_units(self, opened_NC: torch.Tensor) -> torch.Tensor:
        self.seen = opened_NC
        return super()._in_units(opened_NC)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_common_to_the_outputs_of_a_sample_is_hidden_by_a_uniform_number(kind: type[AskingSide]) -> None:
    """All that D can add up to is differences: the first output is uniform, even without noise."""
    rows_ND = with_constant(digits(3)[0][:16], CLIP_NORM)
    weights = head()[:4, :3]
    plan = plan_for(weights, [16], 0.0, "differences")
    seen = []
    for seed in range(16):
        side_M, side_D = sides(kind, plan, seed)
        data_owner = _WithItsView(plan, weights, rows_ND, side=side_D)
        converse(HeadModelOwner(plan, weights * 0, side=side_M, local=stream(seed, "M")), data_owner)
        seen.append(data_owner.seen[:, 0])
    for shift in (28, 20, 8):
        counts = torch.bincount(torch.cat(seen) >> shift & 15, minlength=16).double()
        assert float(((counts - 16).square() / 16).sum()) < chi2.isf(1e-6, df=15)


def test_fresh_noise_is_the_least_that_hides_the_key() -> None:
    """As a power of two, of D/4 answers with 3,201 features and 100 outputs; without any, even one shows it."""
    plan = AskingPlan(features=3201, outputs=100, batches=(800,), opening="differences")
    check_noise(plan)
    for worse in (replace(plan, noise=FLOODING / 2), replace(plan, batches=(1,), noise=0.0)):
        with pytest.raises(ConfigError, match=r"lower joint_head\.answers"):
            check_noise(worse)


def test_features_beyond_the_ring_are_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(DataError, match="too large for the joint head"):
        ask(DealtAsking, torch.full((1, 65), 1e8, dtype=torch.float64), [1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_is_handed_over_once(kind: type[AskingSide]) -> None:
    """Under the same mask or the same public polynomials another one would give the difference away."""
    share = torch.zeros(65, 10, dtype=torch.int64)
    side_M, _ = sides(kind, plan_for(head(), [3], NOISE, "values"), 1)
    side_M.handed(share)
    with pytest.raises(ProtocolError, match="handed over once"):
        side_M.handed(share)


def test_without_a_dealer_messages_look_uniform_and_questions_are_masked_afresh() -> None:
    """The same sample asked twice leaves two messages that have nothing in common."""
    rows_ND = with_constant(digits()[0][:1], CLIP_NORM)
    _, said = ask(LatticeAsking, torch.cat([rows_ND, rows_ND]), [1, 1])
    questions = [one.post.data[: 2048 * 3] for one in said if not one.by_first]
    assert len(questions) == 2
    assert float((questions[0] == questions[1]).double().mean()) < 0.01
    for data in (*questions, said[0].post.data[: 2048 * 3]):
        counts = torch.bincount(data.long(), minlength=256).double()
        statistic = float(((counts - len(data) / 256).square() / (len(data) / 256)).sum())
        assert chi2.isf(1 - 1e-6, df=255) < statistic < chi2.isf(1e-6, df=255)
