"""Asking the joint head: held against a product in the clear, its cost, and uniformity."""

from __future__ import annotations

import math

import pytest
import torch
from heads import CLIP_NORM, digits, parties, stream
from scipy.stats import chi2
from solving import Said, converse, rounds

from smule_crypten.errors import DataError
from smule_crypten.joint_head.asking import FEATURE_BITS, AskingDealer, AskingPlan, HeadDataOwner, HeadModelOwner
from smule_crypten.joint_head.plan import VALUE_BITS
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import with_constant
from smule_crypten.mpc.packing import unpack
from smule_crypten.types import LogitOpening

NOISE = 0.04


def head() -> torch.Tensor:
    first, second = parties()
    return (exact_head(first + second, 0.15) * (1 << VALUE_BITS)).round().long()


def ask(
    rows_ND: torch.Tensor,
    batches: list[int],
    *,
    opening: LogitOpening = "differences",
    noise: float = NOISE,
    seed: int = 0,
    weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, list[Said], int]:
    """The answer, all that was said, and the bytes of the dealer."""
    weights = head() if weights is None else weights
    share_M = stream(seed, "share").ring_elements(tuple(weights.shape))
    plan = AskingPlan(features=len(weights), outputs=weights.size(1), noise=noise, opening=opening)
    dealer = AskingDealer(plan, stream(seed, "T and M"), stream(seed, "T and D"))
    corrections = [dealer.correction(batch) for batch in batches]
    left = iter(corrections)

    def receive(size: int) -> torch.Tensor:
        data = next(left)
        assert data.nbytes == size
        return data

    model_owner = HeadModelOwner(plan, share_M, batches, dealt=stream(seed, "T and M"), local=stream(seed, "M"))
    data_owner = HeadDataOwner(
        plan, weights - share_M, rows_ND, batches, dealt=stream(seed, "T and D"), receive_correction=receive
    )
    _, answer, said = converse(model_owner, data_owner)
    assert next(left, None) is None
    return answer, said, sum(data.nbytes for data in corrections)


@pytest.mark.parametrize("opening", ["differences", "values"])
def test_without_noise_answers_are_those_of_the_clear_head_exactly(opening: LogitOpening) -> None:
    """Integer for integer, on features rounded as stated; several batches, of which the last is smaller."""
    rows_ND = with_constant(digits()[0][1200:1230], CLIP_NORM)
    answer, _, _ = ask(rows_ND, [12, 12, 6], opening=opening, noise=0.0)
    expected = (rows_ND * (1 << FEATURE_BITS)).round() @ head().double() / 2.0 ** (FEATURE_BITS + VALUE_BITS)
    if opening == "differences":
        expected = expected - expected.mean(dim=1, keepdim=True)
    torch.testing.assert_close(answer, expected, atol=1e-12, rtol=0)
    first, second = parties()
    plain = rows_ND @ exact_head(first + second, 0.15)
    plain = plain - plain.mean(dim=1, keepdim=True)
    torch.testing.assert_close(answer - answer.mean(dim=1, keepdim=True), plain, atol=0.01, rtol=0)


def test_noise_is_as_large_as_agreed_and_fresh() -> None:
    """The same question asked twice has two answers; only the differences of the outputs are opened."""
    rows_ND = with_constant(digits()[0][1200:1300], CLIP_NORM)
    exact, _, _ = ask(rows_ND, [100], opening="values", noise=0.0)
    first, _, _ = ask(torch.cat([rows_ND, rows_ND]), [100, 100], opening="values")
    errors = first.view(2, 100, 10) - exact
    assert float(errors.std()) == pytest.approx(NOISE, rel=0.1)
    assert abs(float((errors[0] * errors[1]).mean())) < 5 * NOISE**2 / math.sqrt(1000)


def test_cost_of_asking_is_exact() -> None:
    """Known before: bytes both ways, of the dealer, and rounds."""
    rows_ND = with_constant(digits()[0][:25], CLIP_NORM)
    _, said, dealt = ask(rows_ND, [10, 10, 5])
    cost = AskingPlan(features=65, outputs=10, noise=NOISE, opening="differences").cost([10, 10, 5])
    by_model_owner, by_data_owner = (
        sum(one.post.data.nbytes for one in said if one.by_first is by) for by in (True, False)
    )
    assert (cost.model_owner.bytes_sent, cost.model_owner.bytes_received) == (by_model_owner, by_data_owner)
    assert (cost.data_owner.bytes_sent, cost.data_owner.bytes_received) == (by_data_owner, by_model_owner)
    assert cost.data_owner.dealer_bytes == dealt == 25 * 10 * 4
    assert cost.data_owner.rounds == cost.model_owner.rounds == rounds(said)
    assert ask(rows_ND[:0], [])[0].shape == (0, 10)


def test_what_both_see_is_uniform() -> None:
    """All numbers that are sent, over many runs with the same head and samples; what D adds up is no message."""
    weights = head()[:4, :3]
    rows_ND = with_constant(digits(3)[0][:2], CLIP_NORM)
    runs = []
    for seed in range(256):
        _, said, _ = ask(rows_ND, [1, 1], seed=seed, weights=weights)
        runs.append(torch.cat([unpack(one.post.data, one.post.data.nbytes // 4, 32) for one in said]))
    numbers = torch.stack(runs)
    assert numbers.size(1) == 12 + 2 * 4 + 2 * 3
    for digit in (numbers >> 28 & 15, numbers & 15):
        counts = torch.nn.functional.one_hot(digit, 16).sum(dim=0).double()
        assert float(((counts - 16).square() / 16).sum(dim=1).max()) < chi2.isf(1e-6 / numbers.size(1), df=15)


def test_what_is_common_to_the_outputs_of_a_sample_stays_hidden() -> None:
    """With opening `differences`, a head that adds the same to all outputs gives the same answers, bit for bit."""
    rows_ND = with_constant(digits(3)[0][:5], CLIP_NORM)
    weights = head()[:4, :3]
    common = torch.tensor([[5000], [-700], [3], [90000]])
    one, _, _ = ask(rows_ND, [5], weights=weights)
    other, _, _ = ask(rows_ND, [5], weights=weights + common)
    torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_features_beyond_the_ring_are_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(DataError, match="too large for the joint head"):
        ask(torch.full((1, 65), 1e8, dtype=torch.float64), [1])
