"""Normal noise on every opened logit: how much of it hides what rounding tells of the weights.

A scheme rounds hidden values at random, and the errors reach the logits multiplied by secret weights. For one answer
let delta be the centred logits less their mean over the rounding. Of delta, the owner of the samples D may know the
part m from what it saw; the rest has covariance S. With fresh normal noise of standard deviation sigma on each of Q
answers,

    mu^2 = Q (E|m|^2 / sigma^2 + E|S|_F^2 / (2 sigma^4)),

and all that D sees is within a total variation of mu / 2 of the mean logits plus normal noise (Pinsker's inequality and
the second-order expansion of the divergence for small S / sigma^2). The mean logits themselves are disclosed: averaging
n answers to one sample gives them to sigma / sqrt(n). This is no differential privacy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from smule_crypten.errors import UnshareableModelError

MU = 0.1
"""The distance that the noise of all answers together allows."""
LEAST_NOISE = 0.01
"""Standard deviation of the noise where rounding would need less."""
_STEPS_AN_OCTAVE = 4
_ALWAYS_USABLE = 1.0
_USABLE_SHARE = 0.5
"""Noise is refused beyond both _ALWAYS_USABLE and this share of the logits' standard deviation."""
_SAFETY = 2.0
"""The scatter on the owner's samples stands for that on the other party's, which may be larger."""


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """How centred logits scatter by rounding, on the sample where they do most.

    known: E|m|^2, the mean square of what D can predict of it. unknown: |S|_F of the rest. signal: standard deviation
    of the logits between samples and classes.
    """

    known: float = 0.0
    unknown: float = 0.0
    signal: float = math.inf


@dataclass(frozen=True, kw_only=True)
class NoiseRule:
    """What a model owner adds to each logit.

    num_answers: the disclosure limit Q, all answers of its network to this peer; None adds nothing because of
    rounding (`without_protection`). extra: standard deviation of what the owner adds on top (budget.logit_noise).
    """

    num_answers: int | None
    extra: float = 0.0

    @classmethod
    def without_protection(cls) -> NoiseRule:
        """Logits as they are, from which weights can be computed: for tests and measurements."""
        return cls(num_answers=None)

    def sigma(self, scatter: Scatter) -> float:
        """Standard deviation of the noise.

        Raises:
            UnshareableModelError: it would drown the answers; says what to change.
        """
        if self.num_answers is None:
            return self.extra
        hiding = _on_grid(max(LEAST_NOISE, hiding_noise(scatter, self.num_answers)))
        if hiding > max(_ALWAYS_USABLE, _USABLE_SHARE * scatter.signal):
            raise UnshareableModelError(
                "the output",
                f"hiding the rounding of {self.num_answers} answers takes noise of standard deviation {hiding:.2g} on "
                f"logits of standard deviation {scatter.signal:.2g}",
                "raise scheme.options.ring_bits (lean) or scheme.precision_bits (crypten), or allow fewer answers "
                "(budget.max_queries_total)",
            )
        return math.hypot(hiding, self.extra)


def hiding_noise(scatter: Scatter, num_answers: int) -> float:
    """The sigma that solves mu^2 = MU^2 for so many answers."""
    known, unknown = num_answers * scatter.known, num_answers * scatter.unknown**2 / 2
    return math.sqrt((known + math.sqrt(known**2 + 4 * MU**2 * unknown)) / (2 * MU**2))


def measured_scatter(evaluations_RNC: torch.Tensor, *, is_known: bool) -> Scatter:
    """From R repeated evaluations of the same N samples, centred logits in float64.

    Args:
        is_known: whether D can predict the rounding of its own answer.
    """
    repeats, _, classes = evaluations_RNC.shape
    deviations_NRC = (evaluations_RNC - evaluations_RNC.mean(0)).transpose(0, 1)
    signal = float(evaluations_RNC.mean(0).std()) if evaluations_RNC.size(1) > 1 else math.inf
    if is_known:
        squares_N = deviations_NRC.square().sum((1, 2)) / (repeats - 1)
        return Scatter(known=_SAFETY * float(squares_N.max()), signal=signal)
    norms_N = _covariance_norms(deviations_NRC, classes)
    return Scatter(unknown=_SAFETY * float(norms_N.max()), signal=signal)


def _covariance_norms(deviations_NRC: torch.Tensor, classes: int) -> torch.Tensor:
    """|S|_F of each sample: of the sample covariance, less what R repeats alone add to it, but at least as much as its
    trace demands."""
    freedom = deviations_NRC.size(1) - 1
    products_NRR = deviations_NRC @ deviations_NRC.transpose(1, 2) / freedom
    traces_N = products_NRR.diagonal(dim1=1, dim2=2).sum(1)
    squares_N = products_NRR.square().sum((1, 2))
    unbiased_N = freedom**2 / ((freedom - 1) * (freedom + 2)) * (squares_N - traces_N.square() / freedom)
    return torch.maximum(unbiased_N, traces_N.square() / max(1, classes - 1)).sqrt()


def _on_grid(sigma: float) -> float:
    """Rounded up, so that the announced figure tells little of the weights that it was measured with."""
    return math.pow(2.0, math.ceil(_STEPS_AN_OCTAVE * math.log2(sigma)) / _STEPS_AN_OCTAVE)
