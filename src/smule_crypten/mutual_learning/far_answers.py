"""Answers that are possible for the scheme, and not for what is learned. Nothing is sent of what is dropped."""

from __future__ import annotations

import dataclasses
import logging

from smule_crypten.mutual_learning.peer import Answers
from smule_crypten.tasks.task import Task
from smule_crypten.training.learner import Holding

log = logging.getLogger(__name__)


def without_far_answers(answers: Answers, task: Task, holding: Holding, *, private: bool) -> Answers:
    """`answers` without those that are far from what the party knows of its own targets, which count as dropped.

    Args:
        private: under training.dp: no training sample has a say in which answers are kept, only held-out ones.
    """
    known = holding.validation if private else holding.known
    prediction, public = answers.prediction, answers.public
    if public is not None:
        near_N = task.plausible(public.logits_NC, known.targets)
        public = dataclasses.replace(public, sample_ids=public.sample_ids[near_N], logits_NC=public.logits_NC[near_N])
        answers = dataclasses.replace(answers, public=public)
    kept_N = task.plausible(prediction.logits_NC, known.targets)
    num_far = int((~kept_N).sum())
    if num_far == 0:
        return answers
    log.warning("answers far outside of our own targets dropped exchange=%d answers=%d", prediction.query_id, num_far)
    return dataclasses.replace(
        answers,
        prediction=dataclasses.replace(
            prediction, sample_ids=prediction.sample_ids[kept_N], logits_NC=prediction.logits_NC[kept_N]
        ),
        num_dropped=answers.num_dropped + num_far,
    )
