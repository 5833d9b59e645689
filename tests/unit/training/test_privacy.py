from __future__ import annotations

import sys

import pytest

from smule_crypten.config.sections import DpConfig
from smule_crypten.errors import ConfigError
from smule_crypten.training.privacy import epsilon_spent, noise_multiplier

CONFIG = DpConfig(target_epsilon=3.0, delta=1e-5)


def test_the_noise_is_enough_and_no_more() -> None:
    """Protects: all planned steps together cost what was promised, and hardly less."""
    sigma = noise_multiplier(CONFIG, sample_rate=0.1, steps=200)
    assert 0.98 * 3.0 < epsilon_spent(sigma, 0.1, 200, 1e-5) <= 3.0


def test_two_trainings_cost_what_opacus_says_of_both() -> None:
    """Protects: training alone and mutual learning on the same samples are accounted for together."""
    accountants = pytest.importorskip("opacus").accountants
    accountant = accountants.RDPAccountant()
    for _ in range(2 * 30):
        accountant.step(noise_multiplier=1.5, sample_rate=0.2)
    assert epsilon_spent(1.5, 0.2, 2 * 30, 1e-5) == pytest.approx(accountant.get_epsilon(1e-5))
    assert epsilon_spent(1.5, 0.2, 30, 1e-5) < epsilon_spent(1.5, 0.2, 60, 1e-5)
    assert epsilon_spent(1.5, 0.2, 0, 1e-5) == 0.0


def test_what_cannot_be_kept_or_computed_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: an impossible epsilon and a missing package are errors that say what to do."""
    with pytest.raises(ConfigError, match=r"target_epsilon=1e-05 cannot be kept over 10 steps"):
        noise_multiplier(DpConfig(target_epsilon=1e-5), sample_rate=1.0, steps=10)  # without a series to sum up
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(ConfigError, match=r"needs Opacus, .*pip install"):
        noise_multiplier(CONFIG, sample_rate=0.1, steps=200)
