"""Weights from roundings: found where something is known of an error, and only chance where nothing is."""

from __future__ import annotations

import pytest
import torch

from smule_crypten.attacks.rounding import (
    MAX_COLUMNS,
    RoundingAttack,
    chance,
    correlation,
    layers_within,
    weights_compared,
)

ANSWERS, UNITS, CLASSES = 600, 20, 5


class Leak:
    """Logits that hold a known part of each unit's error times its weights, other errors, and what the sample says."""

    def __init__(self, seed: int, *, scatter: float = 0.5) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self.weights_UC = self.normal(UNITS, CLASSES)
        self.known, self.unrelated, self.earlier = (self.uniform(ANSWERS, UNITS) for _ in range(3))
        self.logits_QC = self.known @ self.weights_UC + scatter * self.normal(ANSWERS, CLASSES)

    def normal(self, *size: int) -> torch.Tensor:
        return torch.randn(size, generator=self._generator, dtype=torch.float64)

    def uniform(self, *size: int) -> torch.Tensor:
        return torch.rand(size, generator=self._generator, dtype=torch.float64)


def test_a_known_part_of_an_error_gives_the_weights() -> None:
    """Up to what is common to the classes, which no logit shows."""
    leak = Leak(1)
    offset = 100 * leak.normal(ANSWERS, 1)
    (guess,) = RoundingAttack({"known": [leak.known]}).guesses(leak.logits_QC + offset)
    assert correlation(guess.weights_UC, leak.weights_UC) > 0.95
    assert guess.explained > 0.3


def test_the_guess_is_the_kind_that_explains_most() -> None:
    """It is picked without the weights; the other kinds are handed over, too."""
    leak = Leak(2)
    found = RoundingAttack({"unrelated": [leak.unrelated], "known": [leak.known]}).guesses(leak.logits_QC)
    assert [guess.kind for guess in found] == ["known", "unrelated"]
    assert abs(correlation(found[1].weights_UC, leak.weights_UC)) < 3 * chance(leak.weights_UC)


def test_where_nothing_is_known_the_correlation_is_chance() -> None:
    """Mean 0 and the stated standard deviation over many attacks, though each picks the best of three kinds."""
    found = []
    for seed in range(200):
        leak = Leak(seed, scatter=1.0)
        noise = leak.normal(ANSWERS, CLASSES)
        attack = RoundingAttack({kind: [leak.uniform(ANSWERS, UNITS)] for kind in "abc"})
        found.append(correlation(attack.guesses(noise)[0].weights_UC, leak.weights_UC))
    deviation = 1 / (UNITS * (CLASSES - 1)) ** 0.5
    values = torch.tensor(found)
    assert abs(float(values.mean())) < 4 * deviation / 200**0.5
    assert float(values.std()) == pytest.approx(deviation, rel=0.2)


def test_what_the_samples_differ_in_is_taken_off() -> None:
    """Distinct samples hide the roundings from an attack that does not know how they differ, and from no other."""
    leak = Leak(3)
    changes = leak.normal(ANSWERS, 4)
    logits_QC = leak.logits_QC + 200 * changes @ leak.normal(4, CLASSES)
    blind, seeing = (
        RoundingAttack({"known": [leak.known]}, given).guesses(logits_QC)[0].weights_UC for given in (None, changes)
    )
    assert abs(correlation(blind, leak.weights_UC)) < 0.5
    assert correlation(seeing, leak.weights_UC) > 0.95


def test_an_answer_in_which_a_value_wrapped_does_not_hide_the_others() -> None:
    """CrypTen's divisions wrap now and then, and the logits are then off by millions."""
    leak = Leak(5)
    leak.logits_QC[17] = 1e7 * leak.normal(CLASSES)
    (guess,) = RoundingAttack({"known": [leak.known]}).guesses(leak.logits_QC)
    assert correlation(guess.weights_UC, leak.weights_UC) > 0.9


def test_earlier_layers_are_taken_into_account() -> None:
    """What is known of their roundings leaves less scatter for the last layer's."""
    leak = Leak(4)
    logits_QC = leak.logits_QC + 20 * leak.earlier @ leak.normal(UNITS, CLASSES)
    alone, both = (
        correlation(RoundingAttack({"known": layers}).guesses(logits_QC)[0].weights_UC, leak.weights_UC)
        for layers in ([leak.known], [leak.known, leak.earlier])
    )
    assert both > 0.9
    assert both > alone + 0.2


def test_more_layers_than_answers_can_tell_apart_are_left_out() -> None:
    """The last one never."""
    assert layers_within([100, 50, 1000], num_answers=300) == 2
    assert layers_within([100, 50, 1000], num_answers=299) == 1
    assert layers_within([100], num_answers=10) == 1
    assert layers_within([100, MAX_COLUMNS], num_answers=10**6) == 1


def test_fewer_answers_than_units_and_logits_that_never_change_are_no_fault() -> None:
    few, units = torch.rand(10, 50, dtype=torch.float64), torch.rand(50, 3)
    (guess,) = RoundingAttack({"known": [few]}).guesses(torch.ones(10, 3))
    assert guess.explained == 0
    assert correlation(guess.weights_UC, units) == 0
    (guess,) = RoundingAttack({"known": [few]}).guesses(few @ units.double())
    assert bool(guess.weights_UC.isfinite().all())


def test_a_correlation_counts_what_logits_can_show() -> None:
    """A unit's mean over the classes says nothing, and is no weight that was compared."""
    true_UC = torch.tensor([[1.0, -1.0, 0.0], [2.0, 0.0, -2.0]])
    assert correlation(3 * true_UC + torch.tensor([[7.0], [-9.0]]), true_UC) == pytest.approx(1.0)
    assert correlation(-true_UC, true_UC) == pytest.approx(-1.0)
    assert weights_compared(true_UC) == 4
    assert chance(true_UC) == pytest.approx(0.5)
