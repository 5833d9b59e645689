from __future__ import annotations

import pytest
import torch

from smule_crypten.data.samples import UNKNOWN
from smule_crypten.tasks.combination import LEAST_FOR_FIT
from smule_crypten.training.ensemble import EnsembleSource, OwnAnswers
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import SoftLabels

NO_SAMPLES = torch.empty(0, dtype=torch.int64)


class Peer:
    """Answers some sample ids with some logits."""

    def __init__(self, sample_ids: torch.Tensor, logits_NC: torch.Tensor) -> None:
        self._known = dict(zip(sample_ids.tolist(), logits_NC, strict=True))

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        positions = [i for i, key in enumerate(sample_ids.tolist()) if key in self._known]
        if not positions:
            return None
        logits = torch.stack([self._known[int(sample_ids[i])] for i in positions])
        return SoftLabels(
            positions=torch.tensor(positions), logits_NC=logits, model_step=torch.full((len(positions),), 7)
        )


def trusted(peer: Peer, sample_ids: torch.Tensor) -> TrustedSource:
    return TrustedSource(peer, "none", sample_ids, torch.full((len(sample_ids),), UNKNOWN))


def test_asked_samples_get_the_mean_of_both_and_others_the_own_answer() -> None:
    """Without evidence both count the same."""
    ids = torch.tensor([30, 10, 20])
    own = torch.tensor([[1.0, -1.0], [2.0, 0.0], [0.0, 3.0]])
    peer = Peer(ids[1:2], torch.tensor([[-1.0, 1.0]]))
    source = EnsembleSource(trusted(peer, ids), OwnAnswers(ids, own), NO_SAMPLES, NO_SAMPLES)
    source.refresh()
    soft = source.lookup(torch.tensor([20, 10]))
    assert soft is not None
    assert soft.positions.tolist() == [0, 1]
    assert soft.weights().tolist() == [1.0, 1.0]
    assert soft.model_step.tolist() == [-1, 7]
    expected = torch.stack([own[2].softmax(0), (own[1].softmax(0) + torch.tensor([-1.0, 1.0]).softmax(0)) / 2])
    torch.testing.assert_close(soft.logits_NC.softmax(1), expected)


@pytest.mark.parametrize("peer_is_right", [True, False])
def test_the_share_follows_the_evidence(peer_is_right: bool) -> None:
    """A peer that knows the held-out labels gets the larger part, one that knows nothing the smaller one."""
    count = 4 * LEAST_FOR_FIT
    ids = torch.arange(count)
    generator = torch.Generator().manual_seed(0)
    labels, noise = torch.randint(0, 2, (2, count), generator=generator)
    right, wrong = 3.0 * torch.eye(2)[labels], 3.0 * torch.eye(2)[noise]
    own, answers = (wrong, right) if peer_is_right else (right, wrong)
    source = EnsembleSource(trusted(Peer(ids, answers), ids), OwnAnswers(ids, own), ids, labels)
    assert source.peer_share == 0.5
    source.refresh()
    assert source.peer_share > 0.95 if peer_is_right else source.peer_share < 0.05


def test_a_peer_without_worth_leaves_training_as_it_is_alone() -> None:
    """Own soft labels alone are self-distillation, harmful beside many labels: they fade with the peer's share."""
    count = 4 * LEAST_FOR_FIT
    ids = torch.arange(count)
    labels, noise = torch.randint(0, 2, (2, count), generator=torch.Generator().manual_seed(0))
    own, answers = 3.0 * torch.eye(2)[labels], 3.0 * torch.eye(2)[noise]
    source = EnsembleSource(trusted(Peer(ids, answers), ids), OwnAnswers(ids, own), ids, labels)
    source.refresh()
    soft = source.lookup(ids)
    assert soft is not None
    assert float(soft.weights().max()) == pytest.approx(4 * source.peer_share)
    assert float(soft.weights().max()) < 0.1


def test_about_training_samples_the_peer_speaks_alone() -> None:
    """The own network only repeats the labels that it was trained on, so it has no part in these soft labels."""
    unseen, trained_on = torch.tensor([5]), torch.tensor([1, 2])
    logits = torch.tensor([[3.0, -3.0]])
    peer = TrustedSource(Peer(trained_on[:1], logits), "none", torch.tensor([1, 2, 5]), torch.tensor([0, 0, 1]))
    source = EnsembleSource(peer, OwnAnswers(unseen, torch.zeros(1, 2)), NO_SAMPLES, NO_SAMPLES)
    soft = source.lookup(torch.tensor([2, 1, 5]))
    assert soft is not None
    assert soft.positions.tolist() == [1, 2]
    assert soft.weights().tolist() == [1.0, 1.0]
    torch.testing.assert_close(soft.logits_NC[0].softmax(0), logits[0].softmax(0))


def test_distrusted_answers_leave_the_own_ones() -> None:
    """Answers of hardly any weight change nothing, so a peer that lies costs the party its peer and no more."""
    ids, labels = torch.tensor([1, 2]), torch.tensor([0, 0])
    own = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    peer = TrustedSource(Peer(ids, torch.tensor([[9.0, 0.0], [0.0, 9.0]])), "adaptive", ids, labels)
    source = EnsembleSource(peer, OwnAnswers(ids, own), NO_SAMPLES, NO_SAMPLES)
    trusted = source.lookup(ids)
    for _ in range(30):
        peer.look_ahead(helps=False)
    distrusted = source.lookup(ids)
    assert trusted is not None
    assert distrusted is not None
    assert float(trusted.logits_NC.softmax(1)[1, 0]) < 0.5
    torch.testing.assert_close(distrusted.logits_NC.softmax(1), own.softmax(1))


def test_classes_without_evidence_count_for_the_peer() -> None:
    """A party whose held-out samples lack half of the classes does not take its own network's word for all of them."""
    count = 4 * LEAST_FOR_FIT
    ids, labels = torch.arange(count), torch.arange(count) % 2
    right = 3.0 * torch.eye(4)[labels]
    peer = trusted(Peer(ids, torch.zeros(count, 4)), ids)
    shares = {}
    for balanced in (False, True):
        source = EnsembleSource(peer, OwnAnswers(ids, right), ids, labels, balanced=balanced)
        source.refresh()
        shares[balanced] = source.peer_share
    assert shares[False] < 0.05
    assert shares[True] == pytest.approx(0.5, abs=0.05)


def test_no_veto_on_a_class_that_one_network_never_saw() -> None:
    """Skewed parties average probabilities: what the peer is sure of survives an own network that rules it out."""
    ids = torch.tensor([1])
    peer = trusted(Peer(ids, torch.tensor([[9.0, 0.0]])), ids)
    own = OwnAnswers(ids, torch.tensor([[-30.0, 0.0]]))
    said = []
    for balanced in (False, True):
        soft = EnsembleSource(peer, own, NO_SAMPLES, NO_SAMPLES, balanced=balanced).lookup(ids)
        assert soft is not None
        said.append(float(soft.logits_NC.softmax(1)[0, 0]))
    assert said[0] < 0.01
    assert said[1] == pytest.approx(0.5, abs=0.01)
