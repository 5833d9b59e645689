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
    gains = torch.tensor([1.0] * 10 + [0.0] * 90).double(), torch.tensor([-1.0] * 4 + [0.0] * 6).double()
    by_hand = (0.1 - 0.4) / math.sqrt(float(gains[0].var()) / 100 + float(gains[1].var()) / 10)
    assert advantage(outputs(head_N), outputs(own_N), classes_N) == pytest.approx(by_hand)


def test_equal_heads_and_no_samples_say_nothing() -> None:
    """No division by zero, and no alarm."""
    classes_N = torch.tensor([0, 1, 2] * 10)
    assert advantage(outputs(classes_N), outputs(classes_N), classes_N) == 0.0
    assert advantage(outputs(classes_N[:2]), outputs(classes_N[:2].flip(0)), classes_N[:2]) == 0.0


def test_a_head_that_is_worse_raises_the_alarm() -> None:
    """Half of its answers are wrong where the own head's are right."""
    classes_N = torch.tensor([0, 1, 2] * 30)
    head_N = classes_N.clone()
    head_N[::2] = (head_N[::2] + 1) % 3
    assert advantage(outputs(head_N), outputs(classes_N), classes_N) < ALARM
