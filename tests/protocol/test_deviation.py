"""What secret sharing alone does not notice, and what a spot check does; noise that the owner of a network adds."""

from __future__ import annotations

import pytest
import torch
from deviation_steps import SAMPLES, exchange_with
from steps import CRYPTEN, LEAN

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.testing import PartyPool

both_schemes = pytest.mark.parametrize("config", [CRYPTEN, LEAN], ids=lambda config: config.name)


@pytest.fixture
def shift() -> torch.Tensor:
    """5 more for class 2 of every second sample."""
    result = torch.zeros(SAMPLES, 3)
    result[::2, 2] = 5.0
    return result


@both_schemes
def test_an_additive_shift_of_shares_goes_unnoticed(pool: PartyPool, config: SchemeConfig, shift: torch.Tensor) -> None:
    """Protects the honesty of the threat model: half of party a's answers are wrong, and nothing complains."""
    (ended, error, charged), (ended_b, error_b, _) = pool.run(exchange_with, config, [shift], 0.0, 0, dealt=True)
    assert (ended, ended_b, charged) == ("completed", "completed", SAMPLES)
    assert torch.allclose(error, shift - shift.mean(1, keepdim=True), atol=0.01)
    assert error_b.abs().max() < 0.01


@both_schemes
def test_a_spot_check_finds_it(pool: PartyPool, config: SchemeConfig, shift: torch.Tensor) -> None:
    """Asked again, party b is honest: 13 checks cannot miss 12 of 24. It counts them as queries."""
    (ended, _, charged), (ended_b, _, _) = pool.run(exchange_with, config, [shift], 0.0, 13, dealt=True)
    assert ended.startswith("SpotCheckError: spot check of exchange 1: ")
    assert "of 13 answers of the other party differ when asked again" in ended
    assert charged == SAMPLES + 13
    assert ended_b == "completed"


def test_a_spot_check_lets_honest_and_consistent_answers_pass(pool: PartyPool) -> None:
    """Rounding is no deviation; and what it cannot find: the same shift both times, of all samples."""
    for shifts in ([], [torch.tensor([[0.0, 0.0, 5.0]]).expand(SAMPLES, 3)] * 2):
        for ended, _, _ in pool.run(exchange_with, LEAN, shifts, 0.0, 13, dealt=True):
            assert ended == "completed"


@both_schemes
def test_noise_of_the_owner_of_a_network(pool: PartyPool, config: SchemeConfig) -> None:
    """Protects what disclosure.logit_noise promises: normal noise of that deviation in what the other party opens."""
    for ended, error, _ in pool.run(exchange_with, config, [], 2.0, 0, dealt=True):
        assert ended == "completed"
        # Of 72 centred values with 48 degrees of freedom; 4 standard errors.
        deviation = float((error.square().sum() / (2 * SAMPLES)).sqrt())
        assert abs(deviation - 2.0) < 4 * 2.0 / (2 * 48) ** 0.5
