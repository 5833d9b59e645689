"""How much noise a differentially private training needs, and what epsilon it ends with: Opacus' accountant.

Renyi differential privacy of the subsampled Gaussian mechanism (I. Mironov, K. Talwar, L. Zhang, "Renyi Differential
Privacy of the Sampled Gaussian Mechanism", 2019), composed over all steps.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from smule_crypten.config.sections import DpConfig
from smule_crypten.errors import ConfigError


def noise_multiplier(config: DpConfig, sample_rate: float, steps: int) -> float:
    """Standard deviation of the noise of a step, in units of config.max_gradient_norm.

    `steps` steps that each take every sample with probability sample_rate then cost at most config.target_epsilon.

    Raises:
        ConfigError: Opacus is not installed, or no amount of noise is enough.
    """
    accountants = _opacus()
    try:
        return _least_noise(accountants, config.target_epsilon, config.delta, sample_rate, steps)
    except ValueError:
        raise ConfigError(
            f"training.dp.target_epsilon={config.target_epsilon} cannot be kept over {steps} steps; raise it, or train "
            "for fewer epochs"
        ) from None


@functools.cache
def _least_noise(accountants: ModuleType, epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """A search that takes seconds; all trainings of a run ask for the same."""
    with _quiet():
        sigma: float = accountants.utils.get_noise_multiplier(
            target_epsilon=epsilon, target_delta=delta, sample_rate=sample_rate, steps=steps, accountant="rdp"
        )
    return sigma


def epsilon_spent(sigma: float, sample_rate: float, steps: int, delta: float) -> float:
    """Epsilon of `steps` steps with this noise multiplier; 0 without a step."""
    if steps == 0:
        return 0.0
    accountant = _opacus().RDPAccountant()
    accountant.history = [(sigma, sample_rate, steps)]
    with _quiet():
        epsilon: float = accountant.get_epsilon(delta)
    return epsilon


def _opacus() -> ModuleType:
    try:
        from opacus import accountants
    except ImportError:
        raise ConfigError(
            "training.dp needs Opacus, which is not installed: pip install -c constraints.txt -e '.[dp]'"
        ) from None
    module: ModuleType = accountants
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    """Opacus warns where the best order of its bound is the first or last one that it tries; the bound still holds."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the", category=UserWarning)
        yield
