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


def test_one_class_of_which_nothing_is_right() -> None:
    """A spread of zero hides nothing: by hand, ten of ten worse are the root of ten deviations."""
    classes_N = torch.zeros(10, dtype=torch.int64)
    assert advantage(outputs(classes_N + 1), outputs(classes_N), classes_N) == pytest.approx(-math.sqrt(10))


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
