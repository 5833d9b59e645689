"""Which network answers the peer."""

from __future__ import annotations

from learners import learner
from party_configs import party
from torch import nn

from smule_crypten.config.party import SamplesConfig
from smule_crypten.config.sections import TrainingConfig
from smule_crypten.mutual_learning.answering import answering_network
from smule_crypten.mutual_learning.peer import AnsweringNetwork
from smule_crypten.party.party import fallback
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.kept_training import Finished

IN_TRAINING, ALONE, KEPT = 0.0, 1.0, 2.0
"""The biases of three networks."""


def network(value: float) -> nn.Module:
    model = learner().network()
    nn.init.constant_(list(model.parameters())[-1], value)
    return model


def kept() -> BestNetwork:
    best = BestNetwork()
    best.offer(network(KEPT), 0.9, 0.01, "smule, epoch 1", model_step=3)
    return best


def value_of(found: AnsweringNetwork) -> float:
    return float(list(found.model.parameters())[-1].detach().mean())


def test_the_best_network_answers() -> None:
    """What the validation part found best, else what was trained alone, else what is there; name and step say which.
    Restoring the best one leaves the one in training as it is.
    """
    in_training = AnsweringNetwork(network(IN_TRAINING), 6, "smule, epoch 2")
    alone = Finished(model=network(ALONE), model_step=30, tested=Outcome(accuracy=0.5), best=BestNetwork())
    found = answering_network(learner(), kept(), alone, in_training)
    assert (value_of(found), found.model_step, found.name) == (KEPT, 3, "smule, epoch 1")
    found = answering_network(learner(), BestNetwork(), alone, in_training)
    assert (value_of(found), found.model_step, found.name) == (ALONE, 30, "alone")
    assert answering_network(learner(), BestNetwork(), None, in_training) is in_training
    assert value_of(in_training) == IN_TRAINING


def test_what_is_said_of_a_missing_network() -> None:
    """With a validation part the best epoch so far answers."""

    def said(standalone: bool, keep: str) -> str | None:
        training = TrainingConfig.model_validate({"standalone": standalone, "keep": keep})
        return fallback(party(samples=SamplesConfig(validation=0.1), training=training))

    assert said(True, "last") is None
    assert "with its network in training: there is" in str(said(False, "last"))
    assert "the best of its epochs so far: there is no finished one" in str(said(False, "best"))
