from __future__ import annotations

import pytest
import torch

from smule_crypten.config.sections import TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.tasks.combination import LEAST_FOR_FIT
from smule_crypten.training import teacher as teacher_module
from smule_crypten.training.ensemble import EnsembleSource, OwnAnswers
from smule_crypten.training.teacher import Teacher
from smule_crypten.training.trust import TrustedSource
from smule_crypten.types import SoftLabels


class Answers:
    """A peer that has answered about all samples: random logits, by sample id."""

    def __init__(self, seed: int) -> None:
        self._logits_NC = torch.randn(500, 3, generator=torch.Generator().manual_seed(seed))

    def lookup(self, sample_ids: torch.Tensor) -> SoftLabels:
        count = len(sample_ids)
        return SoftLabels(
            positions=torch.arange(count), logits_NC=self._logits_NC[sample_ids], model_step=torch.zeros(count).long()
        )


def some_images(count: int, first_id: int) -> Samples:
    ids = torch.arange(first_id, first_id + count)
    return Samples(ids.float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2), ids % 3, ids)


def test_soft_labels_are_those_of_the_scale_after_the_look_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ensemble is fitted before the look-ahead; a fit to the answers as they are weighed after it says the same."""
    monkeypatch.setattr(teacher_module, "distillation_harms", lambda *arguments: True)
    train, pool, held_out = some_images(20, 0), some_images(30, 100).without_labels(), some_images(LEAST_FOR_FIT, 200)
    unseen = held_out.with_others(pool)
    own = OwnAnswers(unseen.sample_ids, Answers(1).lookup(unseen.sample_ids).logits_NC)
    config, device = TrainingConfig(trust="adaptive"), torch.device("cpu")
    teacher = Teacher(
        Answers(0),
        train=train,
        pool=pool,
        validation=held_out,
        own=own,
        config=config,
        seed=0,
        device=device,
        unasked_share=0.0,
    )
    teacher.refresh(torch.nn.Flatten(), 1.0)

    everything = train.with_others(unseen)
    trusted = TrustedSource(Answers(0), "adaptive", everything.sample_ids, everything.targets)
    trusted.look_ahead(False)
    trusted.refresh()
    expected = EnsembleSource(trusted, own, held_out.sample_ids, held_out.targets, balanced=config.balanced_softmax)
    expected.refresh()

    batch = teacher.pool_batch(len(pool))
    assert batch is not None
    inputs_NX, logits_NC, weights_N = batch
    soft = expected.lookup(inputs_NX[:, 0, 0, 0].long())
    assert soft is not None
    assert torch.equal(logits_NC, soft.logits_NC)
    assert torch.equal(weights_N, soft.weights())
    assert teacher.peer_weight == pytest.approx(0.5 * expected.peer_share)
