from __future__ import annotations

import pytest
import torch

from smule_crypten.tasks.combination import LEAST_FOR_FIT, PRIOR_SAMPLES, Combination, fit
from smule_crypten.training.worth import judged


def answers(labels_N: torch.Tensor, accuracy: float, seed: int, confidence: float = 4.0) -> torch.Tensor:
    """Logits (N, 3) that are right about so many of the samples."""
    generator = torch.Generator().manual_seed(seed)
    wrong_N = torch.rand(len(labels_N), generator=generator) >= accuracy
    answer_N = (labels_N + wrong_N * torch.randint(1, 3, labels_N.shape, generator=generator)) % 3
    return confidence * torch.eye(3)[answer_N]


LABELS = torch.arange(300) % 3


def test_too_few_samples_mean_equal_weights() -> None:
    """Nothing is fitted on a handful of samples, or on none."""
    few = LABELS[: LEAST_FOR_FIT - 1]
    assert fit(answers(few, 1.0, 0), answers(few, 0.3, 1), few) == Combination()
    none = LABELS[:0]
    assert fit(torch.zeros(0, 3), torch.zeros(0, 3), none) == Combination()
    assert judged(torch.zeros(0, 3), torch.zeros(0, 3), none, fit) is None


def test_the_better_network_weighs_more() -> None:
    """On either side; as many samples as fitted on can move the weight, and no further."""
    good, bad = answers(LABELS, 0.9, 0), answers(LABELS, 0.35, 1)
    farthest = 0.5 * len(LABELS) / (len(LABELS) + PRIOR_SAMPLES)
    assert 0.5 < fit(good, bad, LABELS).own_weight <= 0.5 + farthest
    assert 0.5 - farthest <= fit(bad, good, LABELS).own_weight < 0.5
    assert fit(good, bad, LABELS).num_known == len(LABELS)


def test_a_peer_that_is_sure_and_wrong_does_little_harm() -> None:
    """Calibration flattens it: what both say together stays what the own network says."""
    own, peer = answers(LABELS, 0.8, 0), answers(LABELS, 0.3, 1, confidence=50.0)
    combined = fit(own, peer, LABELS).predictions(own, peer)
    assert (combined.argmax(1) == own.argmax(1)).double().mean() > 0.99


def test_probabilities_are_some() -> None:
    """Positive, with sum 1, and by default the mean of both."""
    own, peer = answers(LABELS, 0.8, 0), answers(LABELS, 0.6, 1)
    combined = Combination().predictions(own, peer)
    torch.testing.assert_close(combined, (own.softmax(1) + peer.softmax(1)) / 2)
    torch.testing.assert_close(fit(own, peer, LABELS).predictions(own, peer).sum(1), torch.ones(len(LABELS)))


def test_accuracies_are_those_of_each() -> None:
    """Two networks that err in different places are better together."""
    own, peer = LABELS.clone(), LABELS.clone()
    own[:60] = (own[:60] + 1) % 3
    peer[60:120] = (peer[60:120] + 1) % 3
    unsure = torch.where(torch.arange(300) < 60, 1.0, 4.0).unsqueeze(1)
    found = judged(unsure * torch.eye(3)[own], 3.0 * torch.eye(3)[peer], LABELS, fit)
    assert found is not None
    assert (found.num_known, found.own, found.peer) == (300, 0.8, 0.8)
    assert found.combined == 1.0


def test_balanced_evidence_counts_rare_classes_like_frequent_ones() -> None:
    """A network that is right on a rare class only weighs more where all classes count the same."""
    labels = torch.tensor([0] * 180 + [1] * 20)
    only_frequent, only_rare = 2.0 * torch.eye(2)[torch.zeros(200).long()], 2.0 * torch.eye(2)[torch.ones(200).long()]
    plain = fit(only_frequent, only_rare, labels, prior_samples=0)
    balanced = fit(only_frequent, only_rare, labels, prior_samples=0, balanced=True)
    assert plain.own_weight > 0.9
    assert balanced.own_weight < 0.2


def test_answers_are_calibrated() -> None:
    """A peer that is too sure of itself is made less so: its temperature is above 1."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (400,), generator=generator)
    wrong = torch.rand(400, generator=generator) < 0.3
    logits = 8.0 * torch.eye(2)[torch.where(wrong, 1 - labels, labels)]
    # 70 % right is a margin of log(0.7 / 0.3).
    assert fit(torch.zeros(400, 2), logits, labels).peer_temperature == pytest.approx(8.0 / 0.85, rel=0.15)
