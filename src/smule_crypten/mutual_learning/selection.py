"""Which of the own samples to ask about: a function for each rule, and a row for it in RULES.

N samples wait, C classes, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional as F

from smule_crypten.config.exchange import SelectionName
from smule_crypten.data.images import UNKNOWN
from smule_crypten.types import SoftLabels

_CENTRES_AT_ONCE = 1024


class Knowledge(Protocol):
    """What a party knows of its own samples, given by their ids (N,), without asking anybody."""

    def labels(self, sample_ids: torch.Tensor) -> torch.Tensor:
        """(N,), UNKNOWN where a label is not known."""
        ...

    def logits(self, sample_ids: torch.Tensor) -> torch.Tensor:
        """(N, C) of the own network."""
        ...

    def features(self, sample_ids: torch.Tensor) -> torch.Tensor:
        """(N, F): what the own network makes of them before it decides."""
        ...

    def answers(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        """What the peer has answered so far."""
        ...


@dataclass(frozen=True)
class Choice:
    """count of the samples that wait are to be chosen; they stand in random order.

    asked: those that were asked about since all were.
    """

    waiting: torch.Tensor
    asked: torch.Tensor
    count: int
    knowledge: Knowledge


Rule = Callable[[Choice], torch.Tensor]
"""Returns the positions (count,) of the chosen ones among those that wait, all different."""


class Selection:
    """Chooses by a rule, none again before all were chosen.

    Args:
        sample_ids: (N,) int64, the samples that may be asked about.
        seed: the order in which they wait follows from it alone.
    """

    def __init__(self, sample_ids: torch.Tensor, seed: int, rule: SelectionName = "uniform") -> None:
        self._sample_ids = sample_ids
        self._generator = torch.Generator().manual_seed(seed)
        self._rule = RULES[rule]
        self._waiting = torch.empty(0, dtype=torch.int64)

    def next(self, count: int | None, knowledge: Knowledge) -> torch.Tensor:
        """The next `count` sample ids, all different; all of them where count is None or more than there are."""
        wanted = self.count(count)
        chosen = self._take(min(wanted, len(self._waiting)), knowledge)
        if len(chosen) < wanted:
            again = self._sample_ids[torch.randperm(len(self._sample_ids), generator=self._generator)]
            # Samples of this query that were chosen from the last pass go to the end of the new one.
            self._waiting = again[~torch.isin(again, chosen)]
            more = self._take(wanted - len(chosen), knowledge)
            self._waiting = torch.cat([self._waiting, chosen])
            chosen = torch.cat([chosen, more])
        return chosen

    def count(self, count: int | None) -> int:
        """How many sample ids `next` returns."""
        total = len(self._sample_ids)
        return total if count is None else min(count, total)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"waiting": self._waiting, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self._waiting = state["waiting"]
        self._generator.set_state(state["generator"])

    def _take(self, count: int, knowledge: Knowledge) -> torch.Tensor:
        waiting = self._waiting
        if 0 < count < len(waiting):
            asked = self._sample_ids[~torch.isin(self._sample_ids, waiting)]
            positions = self._rule(Choice(waiting, asked, count, knowledge))
        else:
            positions = torch.arange(count)
        is_left = torch.ones(len(waiting), dtype=torch.bool)
        is_left[positions] = False
        self._waiting = waiting[is_left]
        return waiting[positions]


def _uniform(choice: Choice) -> torch.Tensor:
    """Any of them."""
    return torch.arange(choice.count)


def _loss(choice: Choice) -> torch.Tensor:
    """The highest cross entropy of the own network; where the label is not known its expectation, the entropy."""
    logits_NC, labels_N = choice.knowledge.logits(choice.waiting), choice.knowledge.labels(choice.waiting)
    known_N = labels_N != UNKNOWN
    losses_N = _entropies(logits_NC)
    losses_N[known_N] = F.cross_entropy(logits_NC[known_N], labels_N[known_N], reduction="none")
    return _highest(losses_N, choice.count)


def _entropy(choice: Choice) -> torch.Tensor:
    """The highest entropy of the own prediction."""
    return _highest(_entropies(choice.knowledge.logits(choice.waiting)), choice.count)


def _margin(choice: Choice) -> torch.Tensor:
    """The smallest distance between the two most likely classes of the own prediction."""
    best_N2 = choice.knowledge.logits(choice.waiting).softmax(1).topk(2, dim=1).values
    return _highest(best_N2[:, 1] - best_N2[:, 0], choice.count)


def _disagreement(choice: Choice) -> torch.Tensor:
    """Those that the peer never answered, then the highest KL divergence of the own prediction from its answer."""
    soft = choice.knowledge.answers(choice.waiting)
    scores_N = torch.full((len(choice.waiting),), torch.inf)
    if soft is not None:
        own_MC = choice.knowledge.logits(choice.waiting[soft.positions]).log_softmax(1)
        divergence_MC = F.kl_div(own_MC, soft.logits_NC.log_softmax(1), reduction="none", log_target=True)
        scores_N[soft.positions] = divergence_MC.sum(1)
    return _highest(scores_N, choice.count)


def _class_balanced(choice: Choice) -> torch.Tensor:
    """Equally many of each class, as far as there are; where the label is not known, the own prediction counts."""
    classes_N = choice.knowledge.labels(choice.waiting)
    if bool((classes_N == UNKNOWN).any()):
        predicted_N = choice.knowledge.logits(choice.waiting).argmax(1)
        classes_N = torch.where(classes_N == UNKNOWN, predicted_N, classes_N)
    counts_C = torch.bincount(classes_N)
    by_class_N = classes_N.argsort(stable=True)
    turn_N = torch.empty_like(classes_N)
    turn_N[by_class_N] = torch.arange(len(classes_N)) - (counts_C.cumsum(0) - counts_C)[classes_N[by_class_N]]
    return turn_N.argsort(stable=True)[: choice.count]


def _core_set(choice: Choice) -> torch.Tensor:
    """Greedy k-centre: each time the one that is farthest, by its features, from all that were asked or chosen.

    O. Sener, S. Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018.
    """
    features_NF = choice.knowledge.features(choice.waiting)
    squares_N = features_NF.square().sum(1)
    distances_N = torch.full((len(features_NF),), torch.inf)
    if len(choice.asked):
        for centres_MF in torch.split(choice.knowledge.features(choice.asked), _CENTRES_AT_ONCE):
            distances_N = distances_N.minimum(torch.cdist(features_NF, centres_MF).amin(1).square())
    chosen = torch.empty(choice.count, dtype=torch.int64)
    for number in range(choice.count):
        centre = chosen[number] = distances_N.argmax()
        # |a - b|^2 as |a|^2 - 2 ab + |b|^2: one product of a matrix and a vector.
        distances_N = distances_N.minimum(squares_N - 2 * (features_NF @ features_NF[centre]) + squares_N[centre])
        distances_N[centre] = -torch.inf
    return chosen


def _entropies(logits_NC: torch.Tensor) -> torch.Tensor:
    entropies_N: torch.Tensor = torch.special.entr(logits_NC.softmax(1)).sum(1)
    return entropies_N


def _highest(scores_N: torch.Tensor, count: int) -> torch.Tensor:
    """Equal ones in the random order in which they wait."""
    return scores_N.argsort(descending=True, stable=True)[:count]


RULES: dict[SelectionName, Rule] = {
    "uniform": _uniform,
    "loss": _loss,
    "entropy": _entropy,
    "margin": _margin,
    "disagreement": _disagreement,
    "class_balanced": _class_balanced,
    "core_set": _core_set,
}
