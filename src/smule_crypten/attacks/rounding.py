"""Weights from rounding: what the owner of the inputs can compute who follows the protocol to the letter.

A scheme rounds every hidden value. The error of a rounding reaches the logits, multiplied by secret weights. So where
the owner of the inputs knows a part of an error beforehand, say from the low bits of its own share, that part goes with
its logits in proportion to the weights that lie between, and least squares over many answers gives them: of the last
layer directly, class by class.

One regression is made for each kind of knowledge. The guess is the one that explains most of the logits. The adversary
can see that without knowing a weight, so nothing is chosen by the truth, and where no kind says anything, the
correlation of the guess with the weights is chance: mean 0, standard deviation 1 / sqrt(weights compared), if the rest
of the logits' scatter is alike in all directions. (The largest of several correlations would find something where there
is nothing; a single regression on all kinds gives an estimate for each of them, too, and leaves the choice.) The
guesses of the other kinds are returned as well, so that none is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from smule_crypten.types import LogitOpening, opened_logits

ROWS_A_COLUMN = 2
"""So many answers are wanted for each unknown of a regression; earlier layers are left out where there are fewer."""
MAX_COLUMNS = 2048
"""Earlier layers that would make more are left out, too: on small_convnet they took minutes and gained nothing."""
_LEAST_SHARE = 1e-3
_FAR = 20
_TOLERANCE, _MAX_STEPS = 1e-4, 100

Knowledge = Mapping[str, Sequence[torch.Tensor]]
"""Kind -> what is known of the roundings of each hidden layer, (Q, units), from the last one backwards. Of any unit
and origin: an error that grows with it gives a guess of the weights, one that falls with it their negative."""


@dataclass(frozen=True)
class Guess:
    """What one kind of knowledge says.

    Attributes:
        weights_UC: of the last layer, up to a factor; where differences are opened, less their mean over the classes.
        explained: share of the logits' variance that goes with it, less what chance explains.
    """

    kind: str
    weights_UC: torch.Tensor
    explained: float


class RoundingAttack:
    """Regressions on the knowledge about Q answers, ready for any logits that came with it.

    Args:
        changes_QK: what else moves the logits linearly and is known: how the samples differ from one another, and of
            the roundings of the logits themselves.
        opening: what was opened of the logits.
    """

    def __init__(
        self, knowledge: Knowledge, changes_QK: torch.Tensor | None = None, opening: LogitOpening = "differences"
    ) -> None:
        self._opening = opening
        self._regressions = {kind: _Regression(layers) for kind, layers in knowledge.items()}
        self._changes_QK = None if changes_QK is None else _standardized(changes_QK).double()

    def guesses(self, logits_QC: torch.Tensor) -> tuple[Guess, ...]:
        """One for each kind of knowledge, that which explains most of the logits first."""
        logits_QC = _without_wraps(opened_logits(logits_QC.double(), self._opening))
        logits_QC = logits_QC - logits_QC.mean(0)
        if self._changes_QK is not None:
            logits_QC = logits_QC - self._changes_QK @ (torch.linalg.pinv(self._changes_QK) @ logits_QC)
        found = [Guess(kind, *regression.fit(logits_QC)) for kind, regression in self._regressions.items()]
        return tuple(sorted(found, key=lambda guess: guess.explained, reverse=True))


def layers_within(units: Sequence[int], num_answers: int) -> int:
    """How many layers, of so many units from the last one backwards, so many answers can tell apart; at least one."""
    count, most = 1, min(MAX_COLUMNS, num_answers // ROWS_A_COLUMN)
    while count < len(units) and sum(units[: count + 1]) <= most:
        count += 1
    return count


def correlation(guess_UC: torch.Tensor, true_UC: torch.Tensor, opening: LogitOpening = "differences") -> float:
    """Between guessed and true weights (units, classes), as far as they are opened; 0 where one is 0."""
    guessed, true = (opened_logits(weights.double(), opening) for weights in (guess_UC, true_UC))
    size = float(guessed.norm() * true.norm())
    return float((guessed * true).sum()) / size if size else 0.0


def chance(true_UC: torch.Tensor, opening: LogitOpening = "differences") -> float:
    """The standard deviation of the correlation of a guess that knows nothing: 1 / sqrt(weights compared)."""
    return 1 / math.sqrt(weights_compared(true_UC, opening))


def weights_compared(true_UC: torch.Tensor, opening: LogitOpening = "differences") -> int:
    """Of differences each unit counts one weight less than there are classes: what is common to them is not opened."""
    return true_UC.size(0) * (true_UC.size(1) - (opening == "differences"))


class _Regression:
    """On what is known of the last hidden layer, beside what is known of earlier ones.

    Ridge regression, as heavy as is best for slopes of independent weights: noise a column / variance of a slope, both
    estimated from what the columns explain one by one.
    """

    def __init__(self, layers: Sequence[torch.Tensor]) -> None:
        self._units = layers[0].size(1)
        used = layers_within([layer.size(1) for layer in layers], len(layers[0]))
        self._columns = torch.cat([_standardized(layer) for layer in layers[:used]], dim=1)

    def fit(self, logits_QC: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Slopes of the last hidden layer's units (units, classes), per standard deviation of what is known.

        With them the share of the variance that all columns explain, less chance.
        """
        answers, columns = self._columns.shape
        variance = float(logits_QC.square().mean(0).sum())
        if not variance:
            return torch.zeros(self._units, logits_QC.size(1), dtype=torch.float64), 0.0
        products = self._columns.T @ (logits_QC / variance**0.5).float()
        explained = float((products / answers).square().sum()) - columns / answers
        share = min(max(explained, _LEAST_SHARE), 1 - _LEAST_SHARE)
        slopes = self._solve(products, columns * (1 - share) / share)
        return slopes[: self._units].double() * variance**0.5, explained

    def _solve(self, products: torch.Tensor, ridge: float) -> torch.Tensor:
        """(X' X + ridge) B = products by conjugate gradients, which take few steps where columns are independent."""
        solved, rest = torch.zeros_like(products), products
        direction, size = rest, rest.square().sum(0)
        enough = _TOLERANCE**2 * size.clamp(min=torch.finfo(size.dtype).tiny)
        for _ in range(_MAX_STEPS):
            image = self._columns.T @ (self._columns @ direction) + ridge * direction
            step = size / (direction * image).sum(0).clamp(min=torch.finfo(size.dtype).tiny)
            solved, rest = solved + step * direction, rest - step * image
            before, size = size, rest.square().sum(0)
            if bool((size <= enough).all()):
                break
            direction = rest + size / before.clamp(min=torch.finfo(size.dtype).tiny) * direction
        return solved


def _without_wraps(logits_QC: torch.Tensor) -> torch.Tensor:
    """Answers far beyond all others, in which a value wrapped around its ring, become the median answer.

    A single one would hide all that the others say.
    """
    median_C = logits_QC.median(0).values
    distances_Q = (logits_QC - median_C).norm(dim=1)
    is_far_Q1 = (distances_Q > _FAR * distances_Q.median()).unsqueeze(1)
    return torch.where(is_far_Q1, median_C, logits_QC) if bool(distances_Q.median() > 0) else logits_QC


def _standardized(columns: torch.Tensor) -> torch.Tensor:
    """Mean 0 and variance 1, float32; constant columns become 0."""
    centred = columns.double() - columns.double().mean(0)
    return (centred / centred.square().mean(0).sqrt().clamp(min=1e-12)).float()
