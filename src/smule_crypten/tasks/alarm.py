"""An alarm with evidence: do the peer's answers on samples of known label look like those of an honest network?

Honest networks differ in data, classes and quality. These tests reject only what honest ones do not do:

- contradiction: of the samples of two classes that were answered by one of the two, s was taken for t and t for s. A
  network may confuse two classes or know neither, but it does not tell them apart the wrong way round. Fisher's exact
  test, one-sided, for each pair of classes; on this exchange, and on all so far.
- recall: on all exchanges so far, samples of the classes that are named at all are answered right so rarely that this
  cannot exceed chance by `RECALL_SHARE` of what the confidence claims. A network names what it knows, and finds it
  again however rare it is here. Binomial test against p = c + share (confidence - c), with c the rate of agreement by
  chance; and only where they are not better than chance at the level `BETTER_THAN_CHANCE`.
- chance: the same of the answers that name a class this party has, with `CHANCE_SHARE`; also only where recall is not
  better than chance. It finds what names one class all the time, so that a peer that has a single class is not told
  from that.
- drop: the share of right answers fell by more than `LARGEST_DROP` below that of the earlier exchanges. Binomial test
  against the lower confidence bound of the earlier share (Clopper and Pearson) less the drop.

These are about one class per sample; alarm_labels.py tests several labels, by the first of them alone.

The probability of a false alarm in a whole run is at most `false_alarm` if the peer keeps to these statements; it
is divided between exchanges, tests and pairs (Bonferroni). Half of it goes to the first two exchanges, so that a peer
that is malicious from the start is found before it has taught much. What keeps the most likely class right, as
attack=answers of kind stealthy does, is not noticed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import torch
from scipy import stats

CHANCE_SHARE = 0.1
RECALL_SHARE = 0.25
BETTER_THAN_CHANCE = 0.01
LARGEST_DROP = 0.15
_TESTS = 5
_EARLY_EXCHANGES = 2
_EARLY_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm that fired: p_value, that of the test, fell below limit.

    Attributes:
        exchange: after which it fired.
        suspects: the exchanges that it speaks against.
    """

    exchange: int
    test: str
    suspects: tuple[int, ...]
    evidence: str
    p_value: float
    limit: float

    def as_plain(self) -> dict[str, Any]:
        return {**asdict(self), "suspects": list(self.suspects)}


@dataclass(frozen=True)
class _Answers:
    """Of one exchange, or several: predicted_N and labels_N are classes, confidence_N that in the predicted class."""

    predicted_N: torch.Tensor
    targets: torch.Tensor
    confidence_N: torch.Tensor

    @property
    def hits(self) -> int:
        return int((self.predicted_N == self.targets).sum())


class Watch(ABC):
    """Tests each exchange of a run."""

    @abstractmethod
    def check(self, exchange: int, outputs_NC: torch.Tensor, targets: torch.Tensor) -> list[Alarm]:
        """Test the answers of an exchange on samples of known label; its number is higher than those before."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]: ...

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def share_of(exchange: int, num_exchanges: int) -> float:
    """What part of the probability of a false alarm in a run is for this exchange."""
    late = num_exchanges - _EARLY_EXCHANGES
    if late <= 0:
        return 1 / num_exchanges
    return _EARLY_SHARE / _EARLY_EXCHANGES if exchange <= _EARLY_EXCHANGES else (1 - _EARLY_SHARE) / late


class PeerWatch(Watch):
    """Of one class per sample.

    Args:
        num_exchanges: of the whole run.
        false_alarm: probability of any alarm in a run with an honest peer.
    """

    def __init__(self, num_classes: int, num_exchanges: int, false_alarm: float = 0.01) -> None:
        self._num_classes = num_classes
        self._num_exchanges = max(1, num_exchanges)
        self._false_alarm = false_alarm
        self._seen: dict[int, _Answers] = {}
        self._suspects: set[int] = set()

    def check(self, exchange: int, outputs_NC: torch.Tensor, targets: torch.Tensor) -> list[Alarm]:
        """As Watch, of logits and classes."""
        probability_N, predicted_N = outputs_NC.softmax(1).max(1)
        answers = _Answers(predicted_N, targets, probability_N)
        earlier = [number for number in self._seen if number not in self._suspects]
        self._seen[exchange] = answers
        alarms = self._contradictions(exchange, (exchange,)) + self._drop(exchange, earlier)
        if len(self._seen) > 1:
            alarms += self._contradictions(exchange, tuple(self._seen))
        alarms += self._uninformed(exchange, tuple(self._seen))
        for alarm in alarms:
            self._suspects.update(alarm.suspects)
        return alarms

    def state_dict(self) -> dict[str, Any]:
        seen = {number: [a.predicted_N, a.targets, a.confidence_N] for number, a in self._seen.items()}
        return {"seen": seen, "suspects": sorted(self._suspects)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._seen = {number: _Answers(*tensors) for number, tensors in state["seen"].items()}
        self._suspects = set(state["suspects"])

    def _together(self, exchanges: tuple[int, ...] | list[int]) -> _Answers:
        parts = [self._seen[number] for number in exchanges]
        return _Answers(
            torch.cat([part.predicted_N for part in parts]),
            torch.cat([part.targets for part in parts]),
            torch.cat([part.confidence_N for part in parts]),
        )

    def _alarms(self, test: str, exchange: int, suspects: tuple[int, ...], found: Finding | None) -> list[Alarm]:
        if found is None or found.p_value >= found.limit:
            return []
        return [Alarm(exchange=exchange, test=test, suspects=suspects, **vars(found))]

    def _limit(self, exchange: int) -> float:
        """Of each test in this exchange."""
        return self._false_alarm * share_of(exchange, self._num_exchanges) / _TESTS

    def _contradictions(self, exchange: int, suspects: tuple[int, ...]) -> list[Alarm]:
        answers, classes = self._together(suspects), self._num_classes
        cells = torch.bincount(answers.targets * classes + answers.predicted_N, minlength=classes**2)
        counts_LP = cells.view(classes, classes)
        found = worst_pair(counts_LP, self._limit(exchange))
        return self._alarms("contradiction", exchange, suspects, found)

    def _uninformed(self, exchange: int, suspects: tuple[int, ...]) -> list[Alarm]:
        recall, chance = _uninformed(self._together(suspects), self._limit(exchange))
        return self._alarms("recall", exchange, suspects, recall) + self._alarms("chance", exchange, suspects, chance)

    def _drop(self, exchange: int, earlier: list[int]) -> list[Alarm]:
        if not earlier:
            return []
        found = _fallen(self._together(earlier), self._seen[exchange], self._limit(exchange))
        return self._alarms("drop", exchange, (exchange,), found)


@dataclass(frozen=True)
class Finding:
    """The lowest of the p-values of a test, and what it must fall below."""

    evidence: str
    p_value: float
    limit: float


def worst_pair(counts_LP: torch.Tensor, limit: float) -> Finding | None:
    """The pair of classes that is told apart the wrong way round; counts_LP[s, t]: of class s, answered t."""
    classes = len(counts_LP)
    s_K, t_K = torch.triu_indices(classes, classes, offset=1)
    right_K, wrong_K = counts_LP[s_K, s_K], counts_LP[s_K, t_K]
    wrong_back_K, right_back_K = counts_LP[t_K, s_K], counts_LP[t_K, t_K]
    answered_s_K, of_s_K = right_K + wrong_back_K, right_K + wrong_K
    total_K = of_s_K + wrong_back_K + right_back_K
    seen_K = total_K > 0
    if not seen_K.any():
        return None
    p_K = torch.ones(len(total_K), dtype=torch.float64)
    table = (counts[seen_K].numpy() for counts in (right_K, total_K, of_s_K, answered_s_K))
    p_K[seen_K] = torch.from_numpy(stats.hypergeom.cdf(*table))
    worst = int(p_K.argmin())
    s, t = int(s_K[worst]), int(t_K[worst])
    evidence = f"of class {s}, {int(wrong_K[worst])} were answered {t} and {int(right_K[worst])} right; of class {t}, "
    evidence += f"{int(wrong_back_K[worst])} were answered {s} and {int(right_back_K[worst])} right"
    return Finding(evidence, float(p_K[worst]), limit / len(p_K))


def _uninformed(answers: _Answers, limit: float) -> tuple[Finding | None, Finding | None]:
    """Is agreement with the labels too close to chance for the confidence?

    By samples of classes that were named, and by answers that name a class that occurs.
    """
    predicted_N, labels_N, count = answers.predicted_N, answers.targets, len(answers.targets)
    known_N, named_N = torch.isin(labels_N, predicted_N), torch.isin(predicted_N, labels_N)
    num_known, num_named, hits = int(known_N.sum()), int(named_N.sum()), answers.hits
    if num_named == 0:
        return None, None
    classes = int(max(predicted_N.max(), labels_N.max())) + 1
    given_C, true_C = (torch.bincount(values, minlength=classes).double() for values in (predicted_N, labels_N))
    found_by_chance = float(given_C @ true_C) / count / num_known
    if stats.binom.sf(hits - 1, num_known, found_by_chance) < BETTER_THAN_CHANCE:
        return None, None
    both_C = (given_C > 0) & (true_C > 0)
    true_of_named_C = torch.bincount(labels_N[named_N], minlength=classes).double()
    right_by_chance = float((given_C * true_of_named_C)[both_C].sum()) / num_named**2
    return (
        _finding(answers, known_N, found_by_chance, RECALL_SHARE, limit),
        _finding(answers, named_N, right_by_chance, CHANCE_SHARE, limit),
    )


def _finding(answers: _Answers, chosen_N: torch.Tensor, by_chance: float, share: float, limit: float) -> Finding:
    total, hits = int(chosen_N.sum()), answers.hits
    confidence = float(answers.confidence_N[chosen_N].double().mean())
    expected = by_chance + share * max(0.0, confidence - by_chance)
    evidence = (
        f"{hits} of {total} answers are right, {by_chance * total:.0f} would be by chance; confidence {confidence:.2f}"
    )
    return Finding(evidence, float(stats.binom.cdf(hits, total, expected)), limit)


def _fallen(earlier: _Answers, now: _Answers, limit: float) -> Finding | None:
    """Half of limit pays for the bound, half for the test."""
    hits, total = earlier.hits, len(earlier.targets)
    if hits == 0 or len(now.targets) == 0:
        return None
    least = float(stats.beta.ppf(limit / 2, hits, total - hits + 1)) - LARGEST_DROP
    if least <= 0:
        return None
    evidence = f"{now.hits} of {len(now.targets)} answers are right, {hits} of {total} before"
    return Finding(evidence, float(stats.binom.cdf(now.hits, len(now.targets), least)), limit / 2)
