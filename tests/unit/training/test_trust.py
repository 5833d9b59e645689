from __future__ import annotations

import dataclasses

import pytest
import torch

from smule_crypten.config.sections import TrustName
from smule_crypten.data.images import UNKNOWN
from smule_crypten.training.trust import TrustedSource, judge
from smule_crypten.types import SoftLabels

IDS = torch.tensor([5, 1, 9, 3])
LABELS = torch.tensor([0, 1, UNKNOWN, 1])


class Answers:
    """Knows the answer "class a" with a margin of 4 for each sample id."""

    def __init__(self, classes: dict[int, int]) -> None:
        self._classes = classes

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        positions = [i for i, key in enumerate(sample_ids.tolist()) if key in self._classes]
        if not positions:
            return None
        logits = torch.stack([4.0 * torch.eye(2)[self._classes[int(sample_ids[i])]] for i in positions])
        return SoftLabels(
            positions=torch.tensor(positions), logits_NC=logits, model_step=torch.zeros(len(positions)).long()
        )


def weights(name: TrustName, classes: dict[int, int]) -> list[float]:
    source = TrustedSource(Answers(classes), name, IDS, LABELS)
    source.refresh()
    soft = source.lookup(IDS)
    assert soft is not None
    return [round(float(weight), 3) for weight in soft.weights()]


def test_none_weighs_all_the_same() -> None:
    """Whatever the peer got wrong."""
    assert weights("none", {5: 1, 1: 1, 9: 0, 3: 0}) == [1.0, 1.0, 1.0, 1.0]


def test_the_gate_closes_on_wrong_answers_only() -> None:
    """An answer that contradicts a known label is not used; one on an unknown label is."""
    assert weights("argmax_gate", {5: 1, 1: 1, 9: 0, 3: 0}) == [0.0, 1.0, 1.0, 0.0]


def test_accuracy_above_chance_is_the_weight() -> None:
    """Right on two of three known labels, of two classes: (2/3 - 1/2) / (1/2)."""
    assert weights("accuracy", {5: 0, 1: 1, 9: 0, 3: 0}) == [0.333] * 4


def test_a_peer_no_better_than_chance_teaches_nothing() -> None:
    """Nor does one that is worse."""
    assert weights("accuracy", {5: 1, 1: 0, 9: 0, 3: 0}) == [0.0] * 4
    assert weights("class_wise", {5: 1, 1: 0, 9: 0, 3: 0}) == [0.0] * 4


def test_a_peer_that_was_never_tested_teaches_nothing() -> None:
    """Without an answer on a known label there is no ground for trust."""
    for name in ("accuracy", "class_wise"):
        source = TrustedSource(Answers({9: 1}), name, IDS, LABELS)
        source.refresh()
        soft = source.lookup(IDS)
        assert soft is not None
        assert soft.weights().tolist() == [0.0]


def test_classes_are_judged_one_by_one() -> None:
    """Answers of a class that the peer gets right weigh more than those of one that it gets wrong."""
    labels = torch.tensor([0] * 50 + [1] * 50)
    answers = torch.tensor([0] * 50 + [1] * 25 + [2] * 25)
    judgement = judge(4.0 * torch.eye(3)[answers], labels)
    assert judgement.accuracy == 0.75
    of_0, of_1, of_2 = judgement.by_class.tolist()
    assert of_1 == of_0 * (25 + 7.5) / 35 / ((50 + 7.5) / 60)
    assert of_2 == pytest.approx(7.5 / 35)


def test_answers_are_calibrated() -> None:
    """A peer that is too sure of itself is made less so: the temperature is above 1, the arg-max stays."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (400,), generator=generator)
    wrong = torch.rand(400, generator=generator) < 0.3
    logits = 8.0 * torch.eye(2)[torch.where(wrong, 1 - labels, labels)]
    judgement = judge(logits, labels)
    # 70 % right is a margin of log(0.7 / 0.3).
    assert judgement.temperature == pytest.approx(8.0 / 0.85, rel=0.15)


def test_the_look_ahead_scales_down_and_up_again() -> None:
    """Halved when the term harms, up by half when it helps, never above the start; a saved scale is taken up."""
    source = TrustedSource(Answers({5: 0, 1: 1, 3: 1}), "adaptive", IDS, LABELS)
    assert source.is_adaptive
    for helps, expected in ((False, 0.5), (False, 0.25), (True, 0.375), (True, 0.5625), (True, 0.84375), (True, 1.0)):
        source.look_ahead(helps)
        assert source.scale == expected
    source.look_ahead(False)
    other = TrustedSource(Answers({5: 0, 1: 1, 3: 1}), "adaptive", IDS, LABELS)
    other.load_state_dict(source.state_dict())
    assert (other.scale, other.mean_weight) == (0.5, 0.5)


def test_old_answers_count_less() -> None:
    """An answer loses half its weight for every half-life by which the newest answer is ahead of it."""

    class OldAndNew(Answers):
        def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
            soft = super().lookup(sample_ids)
            return None if soft is None else dataclasses.replace(soft, model_step=100 * sample_ids[soft.positions])

    source = TrustedSource(OldAndNew({5: 0, 1: 1, 9: 0, 3: 1}), "none", IDS, LABELS, half_life=200)
    source.refresh()
    soft = source.lookup(IDS)
    assert soft is not None
    assert soft.weights().tolist() == [0.25, 0.0625, 1.0, 0.125]


def test_answers_about_images_that_are_no_samples() -> None:
    """Weighed by their class like those on unlabelled samples; no label can close a gate on them."""
    logits = 4.0 * torch.eye(2)
    soft = SoftLabels(positions=torch.arange(2), logits_NC=logits, model_step=torch.zeros(2).long())
    for name, expected in (("none", [1.0, 1.0]), ("argmax_gate", [1.0, 1.0]), ("accuracy", [0.333] * 2)):
        source = TrustedSource(Answers({5: 0, 1: 1, 9: 0, 3: 0}), name, IDS, LABELS)
        source.refresh()
        assert [round(float(weight), 3) for weight in source.weighed(soft).weights()] == expected
