"""May the joint head teach? It is compared with a head of own rows alone, on own validation samples.

Where it is worse by more than the alarm's limit (joint_head/validation.py), training.alarm=quarantine leaves it out as
a teacher, and report only says so. The peer is not told; with quarantine it may guess so, since losses of three
teachers are missing then.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smule_crypten.config.sections import AlarmName
from smule_crypten.data.samples import Samples
from smule_crypten.head_run.teaching import head_answers
from smule_crypten.joint_head.head_rows import HeadFeatures
from smule_crypten.joint_head.knowledge import HeadKnowledge
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import Statistics
from smule_crypten.joint_head.validation import ALARM, advantage
from smule_crypten.metric_names import TaskName
from smule_crypten.training.ensemble import OwnAnswers
from smule_crypten.training.learner import Holding

_UNTESTED = "not compared with a head of own rows alone"


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What a party makes of its joint head.

    Attributes:
        answers: what it says of own samples, but those for testing, and of public ones; nothing where it is left out.
        advantage: over the party's head, in standard deviations; None where they cannot be compared, or alarm is off.
        is_left_out: as a teacher.
        text: what there is to say; None for nothing.
    """

    answers: OwnAnswers
    advantage: float | None = None
    is_left_out: bool = False
    text: str | None = None


def judged(
    knowledge: HeadKnowledge,
    features: HeadFeatures,
    own: Statistics,
    held: Holding,
    *,
    task: TaskName,
    penalty: float,
    alarm: AlarmName,
) -> Judged:
    """Ask it about own samples, and compare.

    Args:
        own: sums of own labelled rows.
        penalty: of a head of own rows.

    Raises:
        DataError, ModelError: as HeadFeatures.of.
    """
    answers = head_answers(knowledge, features, held, task)
    if alarm == "off":
        return Judged(answers=answers)
    if task != "classification":
        return Judged(answers=answers, text=f"{_UNTESTED}, for task={task} has no test of it")
    better = _advantage(answers, features, own, held.validation.without_copies(), penalty)
    if better is None:
        return Judged(answers=answers, text=f"{_UNTESTED}, for its validation part is too small")
    text = (
        f"by {abs(better):.1f} standard deviations {'better' if better >= 0 else 'worse'} than a head of own rows alone"
    )
    if better >= ALARM:
        return Judged(answers=answers, advantage=better, text=text)
    if alarm == "report":
        return Judged(
            answers=answers, advantage=better, text=f"{text}; it teaches all the same (training.alarm=report)"
        )
    nothing = OwnAnswers(torch.empty(0, dtype=torch.int64), torch.empty(0, own.outputs))
    text = f"{text}; it does not teach (training.alarm=quarantine)"
    return Judged(answers=nothing, advantage=better, is_left_out=True, text=text)


def _advantage(
    answers: OwnAnswers, features: HeadFeatures, own: Statistics, validation: Samples, penalty: float
) -> float | None:
    if len(validation) == 0 or own.rows == 0:
        return None
    _, joint_NC = answers.of(validation.sample_ids.cpu())
    own_NC = features.rows_of(validation, "own samples") @ exact_head(own, penalty)
    return advantage(joint_NC, own_NC, validation.targets.cpu())
