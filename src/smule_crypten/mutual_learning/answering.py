"""Which of its networks a party lets answer its peer: the best one that it has."""

from __future__ import annotations

from smule_crypten.mutual_learning.peer import AnsweringNetwork
from smule_crypten.training.best import BestNetwork
from smule_crypten.training.kept_training import Finished
from smule_crypten.training.learner import Learner


def answering_network(
    learner: Learner, best: BestNetwork, alone: Finished | None, in_training: AnsweringNetwork
) -> AnsweringNetwork:
    """That which `best` keeps.

    Where nothing was offered to it, the one that was trained alone; where there is none either, the one in training.
    """
    if best.name:
        model = learner.network()
        best.restore(model)
        return AnsweringNetwork(model, best.model_step, best.name)
    return in_training if alone is None else AnsweringNetwork(alone.model, alone.model_step, "alone")
