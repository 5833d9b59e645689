"""Normal noise on every opened logit: how much of it hides what rounding tells of the weights.

A scheme rounds hidden values at random, and the errors reach the logits multiplied by secret weights. For one answer
let delta be what is opened of the logits less its mean over the rounding: with opening "differences" the centred
logits, C - 1 dimensions; with "values" all C logits, what is common to them included. Of delta, the owner of the
samples D may know the part m from what it saw; the rest has covariance S. With fresh normal noise of standard deviation
sigma on each logit of each of Q answers, independent of one another,

    mu^2 = Q (E|m|^2 / sigma^2 + E|S|_F^2 / (2 sigma^4)),

and all that D sees is within a total variation of mu / 2, to second order in S / sigma^2, of the mean logits plus
normal noise (Pinsker's inequality), for samples that scatter no more than assumed. The noise has the covariance
sigma^2 I in the space where delta lies: on all logits with "values", on the centred ones with "differences", where what
is common to a sample's noise is hidden with the rest. So the formula is the same for both; what differs is delta. With
"values" what the logits' errors have in common, sqrt(C) times their mean, is a part of it, and never needs less noise.
The mean logits themselves are disclosed: averaging n answers to one sample gives them to sigma / sqrt(n). This is no
differential privacy.

m and S are measured, not proved: by a scheme's ideal function on a few samples of the owner and some that are made up,
the largest of them doubled. Scheme lean has m = 0; of crypten all is m; two_party has both (its ideal function without
what the owner rounds away leaves m).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from smule_crypten.errors import UnshareableModelError
from smule_crypten.types import LogitOpening

MU = 0.1
"""The distance that the noise of all answers together allows."""
LEAST_NOISE = 0.01
"""Standard deviation of the noise where rounding would need less."""
_STEPS_AN_OCTAVE = 4
_ALWAYS_USABLE: dict[LogitOpening, float] = {"differences": 1.0, "values": 0.5}
_USABLE_SHARE = 0.5
"""Noise is refused beyond both _ALWAYS_USABLE and this share of the logits' standard deviation. A value may be a target
of regression, whose standard deviation is 1."""
_REMEDY_OF: dict[LogitOpening, str] = {
    "differences": "",
    "values": "; of a regression set data.target_std to what its targets spread by",
}
_CONSTANT = 1e-9
"""An output that varies less says nothing that noise could drown."""
_REPEATS, _FEW_REPEATS, _LEAST_SAMPLES, _MOST_EVALUATIONS, _LEAST_EVALUATIONS = 64, 16, 4, 1024, 64
_MAX_PRODUCTS = 3 * 10**10
"""Multiplications that a measurement may take: seconds. Large networks are measured on fewer samples."""
_SAFETY = 2.0
"""The scatter on the owner's samples stands for that on the other party's, which may be larger."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What noise and imprecision are compared with.

    size: a standard deviation; infinite where it is unknown. output: whose, counted from 0; None for all together.
    """

    size: float = math.inf
    output: int | None = None

    def __str__(self) -> str:
        where = "logits" if self.output is None else f"output {self.output}"
        return f"{where} of standard deviation {self.size:.2g}"


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """How what is opened of the logits scatters by rounding, on the sample where it does most.

    known: E|m|^2, the mean square of what D can predict of it. unknown: |S|_F of the rest. signal: of the logits on the
    owner's samples. opening: what was measured, and what alone the noise is enough for.
    """

    known: float = 0.0
    unknown: float = 0.0
    signal: Signal = Signal()
    opening: LogitOpening = "differences"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the scatter is measured on: `repeats` evaluations of inputs_NX.

    own_N: which samples of the owner come first. After them there is noise of their size, on which other hidden units
    may be active.
    """

    inputs: torch.Tensor
    own_N: torch.Tensor
    repeats: int

    @classmethod
    def of(cls, inputs_NX: torch.Tensor, products: int) -> Trial:
        """As much as is affordable for a network that takes so many multiplications per sample."""
        evaluations = max(_LEAST_EVALUATIONS, min(_MOST_EVALUATIONS, _MAX_PRODUCTS // max(1, products)))
        repeats = _REPEATS if evaluations >= _REPEATS * _LEAST_SAMPLES else _FEW_REPEATS
        count = evaluations // repeats
        own = min(len(inputs_NX), count - count // 4)
        own_N = torch.arange(own) * len(inputs_NX) // own
        size = float(inputs_NX.double().square().mean().sqrt())
        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, (count // 4, *inputs_NX.shape[1:]), generator=generator) * 2 - 1
        made_up_NX = size * signs.to(inputs_NX.dtype)
        return cls(inputs=torch.cat([inputs_NX[own_N], made_up_NX]), own_N=own_N, repeats=repeats)

    def own(self, values_N: torch.Tensor) -> torch.Tensor:
        """Of values for each of inputs_NX, those of the owner's samples."""
        return values_N[: len(self.own_N)]

    def evaluations(self, logits: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """(repeats, N, C) of inputs (N, X) -> what is opened of logits (N, C), rounded afresh each time."""
        return torch.stack([logits(self.inputs).cpu() for _ in range(self.repeats)])


@dataclass(frozen=True, kw_only=True)
class NoiseRule:
    """What a model owner adds to each logit.

    num_answers: the disclosure limit Q, all answers of its network to this peer. extra: standard deviation of what the
    owner adds on top (disclosure.logit_noise).
    """

    num_answers: int
    extra: float = 0.0

    @classmethod
    def without_protection(cls) -> NoiseRule:
        """Logits as they are, from which weights can be computed: for tests and measurements."""
        return _NoRule(num_answers=0)

    def sigma(self, scatter: Scatter) -> float:
        """Standard deviation of the noise.

        Raises:
            UnshareableModelError: it would drown the answers; says what to change.
        """
        hiding = on_grid(max(LEAST_NOISE, hiding_noise(scatter, self.num_answers)), up=True)
        if hiding > max(_ALWAYS_USABLE[scatter.opening], _USABLE_SHARE * scatter.signal.size):
            raise UnshareableModelError(
                "the output",
                f"hiding the rounding of {self.num_answers} answers takes noise of standard deviation {hiding:.2g} on "
                f"{scatter.signal}",
                "raise scheme.options.ring_bits (lean, two_party) or scheme.precision_bits (crypten), or allow fewer "
                f"answers (disclosure.max_answers_total){_REMEDY_OF[scatter.opening]}",
            )
        return math.hypot(hiding, self.extra)


class _NoRule(NoiseRule):
    """Apart from NoiseRule, so that a limit that nobody has set can never come to this."""

    def sigma(self, scatter: Scatter) -> float:
        return 0.0


def hiding_noise(scatter: Scatter, num_answers: int) -> float:
    """The sigma that solves mu^2 = MU^2 for so many answers."""
    known, unknown = num_answers * scatter.known, num_answers * scatter.unknown**2 / 2
    return math.sqrt((known + math.sqrt(known**2 + 4 * MU**2 * unknown)) / (2 * MU**2))


def measured_scatter(evaluations_RNC: torch.Tensor, own: int, *, is_known: bool, opening: LogitOpening) -> Scatter:
    """From R repeated evaluations of the same N samples, float64.

    Args:
        evaluations_RNC: what is opened of the logits.
        own: so many samples, the first ones, are the owner's; the others are made up, and say nothing of the signal.
        is_known: whether D can predict the rounding of its own answer.
        opening: what is opened.
    """
    repeats, _, classes = evaluations_RNC.shape
    deviations_NRC = (evaluations_RNC - evaluations_RNC.mean(0)).transpose(0, 1)
    signal = signal_of(evaluations_RNC[:, :own].mean(0), opening) if own > 1 else Signal()
    if is_known:
        squares_N = deviations_NRC.square().sum((1, 2)) / (repeats - 1)
        return Scatter(known=_SAFETY * float(squares_N.max()), signal=signal, opening=opening)
    norms_N = _covariance_norms(deviations_NRC, classes if opening == "values" else max(1, classes - 1))
    return Scatter(unknown=_SAFETY * float(norms_N.max()), signal=signal, opening=opening)


def signal_of(logits_NC: torch.Tensor, opening: LogitOpening) -> Signal:
    """Standard deviation of what is opened of the logits of N > 1 samples, between samples and classes.

    Of values that of the output which varies least between the samples, whatever its mean, of those that vary at all:
    each label or target is told by itself. It is 0 where none does.
    """
    if opening == "differences":
        return Signal(size=float(logits_NC.std()))
    spread_C = spreads(logits_NC)
    if not bool(spread_C.any()):
        return Signal(size=0.0)
    least = int(torch.where(spread_C > 0, spread_C, torch.inf).argmin())
    return Signal(size=float(spread_C[least]), output=least)


def spreads(values_NC: torch.Tensor) -> torch.Tensor:
    """(C,): standard deviation of each output between N > 1 samples, 0 where it does not vary."""
    spread_C = values_NC.std(0)
    return torch.where(spread_C > _CONSTANT, spread_C, 0.0)


def _covariance_norms(deviations_NRC: torch.Tensor, dimensions: int) -> torch.Tensor:
    """|S|_F of each sample.

    Of the sample covariance, less what R repeats alone add to it, but at least as much as its trace demands of so many
    dimensions.
    """
    freedom = deviations_NRC.size(1) - 1
    products_NRR = deviations_NRC @ deviations_NRC.transpose(1, 2) / freedom
    traces_N = products_NRR.diagonal(dim1=1, dim2=2).sum(1)
    squares_N = products_NRR.square().sum((1, 2))
    unbiased_N = freedom**2 / ((freedom - 1) * (freedom + 2)) * (squares_N - traces_N.square() / freedom)
    return torch.maximum(unbiased_N, traces_N.square() / dimensions).sqrt()


def on_grid(value: float, *, up: bool) -> float:
    """A positive figure that is announced, on a coarse grid, so that it tells little of what it was measured with."""
    steps = _STEPS_AN_OCTAVE * math.log2(value)
    return math.pow(2.0, (math.ceil(steps) if up else math.floor(steps)) / _STEPS_AN_OCTAVE)
