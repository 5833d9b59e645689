"""Whether the joint head is worse than the own one, on own validation rows."""

from __future__ import annotations

import math

import pytest
import torch

from smule_crypten.joint_head.validation import ALARM, advantage


def outputs(named_N: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(named_N, 3).double()


def test_classes_count_alike() -> None:
    """By hand: of 100 samples of class 0 ten more are right, of 10 of class 1 four fewer; class 2 is too small."""
    classes_N = torch.tensor([0] * 100 + [1] * 10 + [2] * 3)
    own_N, head_N = classes_N.clone(), classes_N.clone()
    own_N[:10] = 1
    head_N[100:104] = 0
    head_N[110:] = 0
    by_hand = (0.1 - 0.4) / math.sqrt(10 / 100**2 + 4 / 10**2)
    assert advantage(outputs(head_N), outputs(own_N), classes_N) == pytest.approx(by_hand)


def test_equal_heads_and_no_samples_say_nothing() -> None:
    """No division by zero, and no alarm."""
    classes_N = torch.tensor([0, 1, 2] * 10)
    assert advantage(outputs(classes_N), outputs(classes_N), classes_N) == 0.0
    assert advantage(outputs(classes_N[:2]), outputs(classes_N[:2].flip(0)), classes_N[:2]) is None


def test_nothing_is_right() -> None:
    """A spread of zero hides nothing: by hand, ten of ten worse in each of two classes. With one class alone both are
    always right."""
    classes_N = torch.tensor([0, 1] * 10)
    found = advantage(outputs(1 - classes_N), outputs(classes_N), classes_N)
    assert found == pytest.approx(-2 / math.sqrt(2 / 10))
    assert advantage(outputs(1 - classes_N[::2]), outputs(classes_N[::2]), classes_N[::2]) is None


def test_a_head_that_knows_more_classes_is_no_worse_for_it() -> None:
    """It takes half of the samples for a class that the party lacks, and is right among those that it has."""
    classes_N = torch.tensor([0, 1] * 20)
    head_NC = 0.5 * outputs(classes_N)
    head_NC[:20, 2] = 1.0
    assert advantage(head_NC, outputs(classes_N), classes_N) == 0.0


def test_equal_heads_seldom_raise_it() -> None:
    """Two heads that err alike, at random, on few samples of each class: hardly any of 2,000 pairs."""
    generator = torch.Generator().manual_seed(0)
    classes_N = torch.arange(3).repeat_interleave(8)

    def guesses() -> torch.Tensor:
        wrong_N = torch.rand(len(classes_N), generator=generator) < 0.2
        return outputs(torch.where(wrong_N, (classes_N + 1) % 3, classes_N))

    found = [advantage(guesses(), guesses(), classes_N) for _ in range(2000)]
    assert sum(value is not None and value < ALARM for value in found) <= 6


def test_a_head_that_is_worse_raises_the_alarm() -> None:
    """Half of its answers are wrong where the own head's are right."""
    classes_N = torch.tensor([0, 1, 2] * 30)
    head_N = classes_N.clone()
    head_N[::2] = (head_N[::2] + 1) % 3
    found = advantage(outputs(head_N), outputs(classes_N), classes_N)
    assert found is not None
    assert found < ALARM
