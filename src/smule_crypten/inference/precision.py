"""What fixed point makes of a network's logits, beside the network itself: the owner looks before it answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from smule_crypten.errors import UnshareableModelError
from smule_crypten.inference.noise import LEAST_NOISE, Signal, signal_of, spreads
from smule_crypten.types import LogitOpening, opened_logits

log = logging.getLogger(__name__)

_WORTH_A_WARNING = 0.1
_TOO_MUCH = 0.5
"""Shares of the standard deviation of the logits, or of an output where values are opened."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How far a trial of the party's own answers is off.

    Attributes:
        error: the largest difference of an opened logit from the plain network's.
        signal: how much those differ between samples.
    """

    error: float
    signal: Signal

    @property
    def share(self) -> float:
        return self.error / self.signal.size if self.signal.size > 0 else 0.0


def precision_of(evaluated_NC: torch.Tensor, plain_NC: torch.Tensor, opening: LogitOpening) -> Precision:
    """Of what is opened of logits by a scheme's arithmetic, beside all logits of plain float64 on the same inputs.

    Of values each output is judged by itself, and the worst one counts. An error that the least noise covers does not:
    an output that hardly varies is no less precise by it than by the noise that it gets in any case.
    """
    plain_NC = opened_logits(plain_NC, opening)
    error_NC = (evaluated_NC - plain_NC).abs()
    if len(plain_NC) < 2:
        return Precision(error=float(error_NC.max()), signal=Signal())
    if opening == "differences":
        return Precision(error=float(error_NC.max()), signal=signal_of(plain_NC, opening))
    error_C, spread_C = error_NC.amax(0), spreads(plain_NC)
    share_C = torch.where((spread_C > 0) & (error_C > LEAST_NOISE), error_C / spread_C, 0.0)
    worst = int(share_C.argmax())
    if float(share_C[worst]) == 0.0:
        return Precision(error=float(error_C.max()), signal=Signal())
    return Precision(error=float(error_C[worst]), signal=Signal(size=float(spread_C[worst]), output=worst))


def check_precision(found: Precision, cures: Iterable[tuple[str, Callable[[], Precision]]]) -> None:
    """Warn where fixed point changes the logits visibly, and refuse where it ruins them.

    Args:
        cures: settings, and what comes out with each; tried one after the other until one is good enough.

    Raises:
        UnshareableModelError: says what the error is, and which of the settings fixes it.
    """
    if found.share <= _WORTH_A_WARNING:
        return
    what = f"fixed point changes {found.signal} by up to {found.error:.2g}"
    remedy = _remedy(cures)
    if found.share > _TOO_MUCH:
        raise UnshareableModelError("the network", what, remedy)
    log.warning("answers are imprecise: %s; %s", what, remedy)


def _remedy(cures: Iterable[tuple[str, Callable[[], Precision]]]) -> str:
    for setting, evaluate in cures:
        try:
            better = evaluate()
        except UnshareableModelError:
            continue
        if better.share <= _WORTH_A_WARNING:
            return f"set {setting} (error {better.error:.2g} there)"
    return (
        "no width of fixed point fixes that: train with weight decay or add BatchNorm, so that values are of like size"
    )
