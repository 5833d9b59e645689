"""What works in CrypTen over gloo works over the channel: its functions against plain torch."""

from __future__ import annotations

import pytest
import torch
from crypten_functions import CASES, draw_random_numbers, evaluate_all, open_to_one, operands

from smule_crypten.testing import PartyPool

Results = list[dict[str, torch.Tensor | str]]


@pytest.fixture(scope="module")
def results(pool: PartyPool) -> Results:
    # CrypTen's approximations err at random; with repeatable shares the same way every time.
    return pool.run(evaluate_all, randomness="seeded_insecure")


@pytest.mark.parametrize("name", CASES)
def test_function_agrees_with_torch(results: Results, name: str) -> None:
    """Protects: each function at both parties; a communicator that mixes messages up cannot pass."""
    expected = CASES[name].plain(*operands())
    for of_party in results:
        found = of_party[name]
        assert isinstance(found, torch.Tensor), found
        torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=CASES[name].tolerance)


def test_random_numbers(pool: PartyPool) -> None:
    """Protects: CrypTen's own random tensors, which go through 1-bit conversions and both kinds of shares."""
    (uniform, bits), (uniform_b, bits_b) = pool.run(draw_random_numbers, 2000, randomness="seeded_insecure")
    assert torch.equal(uniform, uniform_b)
    assert torch.equal(bits, bits_b)
    assert 0 <= float(uniform.min()) < 0.01
    assert 0.99 < float(uniform.max()) < 1
    assert abs(float(uniform.mean()) - 0.5) < 0.04
    assert set(bits.tolist()) == {0, 1}
    assert abs(float(bits.double().mean()) - 0.25) < 0.05


def test_opening_to_one_party(pool: PartyPool) -> None:
    """Protects: get_plain_text(dst=...) and a broadcast size, the remaining ways through the communicator."""
    secret = torch.tensor([[1.5, -2.0, 0.25]])
    at_a, at_b = pool.run(open_to_one, secret)
    assert at_a is None
    assert torch.equal(at_b, secret)
