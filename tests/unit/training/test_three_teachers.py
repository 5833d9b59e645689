"""Three teachers, against their formulas written out sample by sample."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import UNKNOWN, Samples
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.three_teachers import LARGEST_LOSS, NUM_LOSSES, WEIGHTS, ThreeTeachers
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import SoftLabels

CLASSES, HELD = 3, 60
IDS = torch.arange(80)
TRAIN, VALIDATION = IDS[:20], IDS[20:]
GENERATOR = torch.Generator().manual_seed(3)
TARGETS = torch.randint(0, CLASSES, (len(IDS),), generator=GENERATOR)
OWN, PEER, HEAD = (
    2 * torch.randn(len(IDS), CLASSES, generator=GENERATOR) + strength * torch.eye(CLASSES)[TARGETS]
    for strength in (0.5, 1.0, 3.0)
)


class Answered:
    """A peer that was asked about some samples."""

    def __init__(self, asked: torch.Tensor) -> None:
        self._asked = asked

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels | None:
        positions = torch.isin(sample_ids, self._asked).nonzero().squeeze(1)
        if len(positions) == 0:
            return None
        logits_NC = PEER[sample_ids[positions]]
        return SoftLabels(positions=positions, logits_NC=logits_NC, model_step=torch.full((len(positions),), 9))


def teachers(asked: torch.Tensor = IDS, *, balanced: bool = False, is_alone: bool = False) -> ThreeTeachers:
    """The own network speaks of held-out samples alone, the head of all."""
    peer = TrustedSource(Answered(asked), "none", IDS, torch.full((len(IDS),), UNKNOWN))
    return ThreeTeachers(
        peer,
        OwnAnswers(VALIDATION, OWN[VALIDATION]),
        OwnAnswers(IDS, HEAD),
        VALIDATION,
        TARGETS[VALIDATION],
        task=CLASSIFICATION,
        balanced=balanced,
        is_alone=is_alone,
    )


def mean(weights: list[float], sample: int, balanced: bool) -> np.ndarray:
    spoken = [rows[sample].numpy() for rows in (OWN, PEER, HEAD)]
    if balanced:
        return np.log(sum(w * softmax(z) for w, z in zip(weights, spoken, strict=True)))
    return np.asarray(sum(w * z for w, z in zip(weights, spoken, strict=True)))


@pytest.mark.parametrize("balanced", [False, True])
def test_losses_are_those_of_every_point(balanced: bool) -> None:
    """Each told loss is the mean cross entropy of the mean of three, cut and rounded."""
    told = teachers(balanced=balanced).losses()
    assert len(told) == NUM_LOSSES
    for weights, loss in zip(WEIGHTS.tolist(), told, strict=True):
        due = [-log_softmax(mean(weights, int(i), balanced))[int(TARGETS[i])] for i in VALIDATION]
        assert loss == pytest.approx(float(np.mean(np.minimum(due, LARGEST_LOSS))), abs=0.0051)
        assert round(100 * loss) / 100 == loss


def test_the_grid_is_whole() -> None:
    """All ways to divide four quarters among three."""
    due = {point for point in itertools.product(range(5), repeat=3) if sum(point) == 4}
    assert {tuple(round(4 * w) for w in point) for point in WEIGHTS.tolist()} == due
    assert len(due) == NUM_LOSSES


def test_both_parties_take_the_same_point() -> None:
    """Of two parties that tell each other theirs, each one's own network has the weight that the other one's peer has,
    and the point is the one of the least sum, found by trying all."""
    generator = torch.Generator().manual_seed(1)
    of_a, of_b = (torch.rand(NUM_LOSSES, generator=generator).mul(3).tolist() for _ in range(2))
    party_a, party_b = teachers(), teachers()
    party_a.hear(of_a, of_b)
    party_b.hear(of_b, of_a)
    points = WEIGHTS.tolist()
    due = min(points, key=lambda p: of_a[points.index(p)] + of_b[points.index([p[1], p[0], p[2]])])
    assert list(party_a.weights) == due
    assert list(party_b.weights) == [due[1], due[0], due[2]]


def test_who_does_not_speak_has_no_weight() -> None:
    """Asked or not, held out or trained on: the mean is that of those who speak, their weights divided by their sum."""
    source = teachers(asked=torch.tensor([0, 30]))
    soft = source.lookup(torch.tensor([0, 1, 30, 31]))
    assert soft is not None
    assert soft.positions.tolist() == [0, 1, 2, 3]
    assert soft.model_step.tolist() == [9, -1, 9, -1]
    assert soft.weights().tolist() == [1.0] * 4
    due = [(PEER[0] + 2 * HEAD[0]) / 3, HEAD[1], (OWN[30] + PEER[30] + 2 * HEAD[30]) / 4, (OWN[31] + 2 * HEAD[31]) / 3]
    torch.testing.assert_close(soft.logits_NC, torch.stack(due))


def test_the_own_network_alone_teaches_nothing() -> None:
    """It would be self-distillation, which is a control."""
    source = teachers()
    losses = [float(point[0] < 1) for point in WEIGHTS.tolist()]
    mirrored = [float(point[1] < 1) for point in WEIGHTS.tolist()]
    source.hear(losses, mirrored)
    assert source.weights == (1.0, 0.0, 0.0)
    assert source.lookup(VALIDATION) is None


def test_few_answers_tell_nothing() -> None:
    """A fit to fewer than 50 samples errs more than it tells: nothing is told, and nothing changes. A peer that only
    answers tells nothing either; then own losses are all there is."""
    source = teachers(asked=VALIDATION[:49])
    assert source.losses() == []
    told = teachers().losses()
    source.hear([], told)
    assert source.weights == (0.25, 0.25, 0.5)
    source.hear(told, [])
    assert source.weights == tuple(WEIGHTS[told.index(min(told))].tolist())


def test_without_a_peer_own_losses_decide() -> None:
    """The local counterpart: no weight for a peer, the others by the own validation part alone."""
    found = teachers(asked=IDS[:0], is_alone=True).weights
    losses = dict(zip(map(tuple, WEIGHTS.tolist()), teachers().losses(), strict=True))
    assert found == min((point for point in losses if point[1] == 0), key=lambda point: losses[point])


def test_a_teacher_goes_on_with_its_weights() -> None:
    """A run that was cut off learns with the weights that were fitted before."""
    inputs = torch.zeros(len(IDS), 2)

    def made() -> Teacher:
        samples = Samples(inputs, TARGETS, IDS)
        return Teacher(
            Answered(IDS),
            train=samples.select(TRAIN),
            validation=samples.select(VALIDATION),
            own=OwnAnswers(VALIDATION, OWN[VALIDATION]),
            head=OwnAnswers(IDS, HEAD),
            config=TrainingConfig(trust="none"),
        )

    first, second = made(), made()
    told = first.losses
    assert told is not None
    first.hear(told, told)
    assert first.weights != second.weights
    second.load_state_dict(first.state_dict())
    assert first.weights == second.weights
