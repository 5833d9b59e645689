"""The joint head beside the own one, in a run of one process: what is said of it, and what comes of it."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from smule_crypten import configure
from smule_crypten.config.sections import AlarmName
from smule_crypten.head_run import own_head
from smule_crypten.head_run.judging import Judged, judged
from smule_crypten.joint_head.validation import ALARM
from smule_crypten.metric_names import TaskName
from smule_crypten.mutual_learning.observer import Silent
from smule_crypten.simulation.in_process import InProcess

SETTINGS = [
    "allow_insecure=true",
    "data=digits",
    "data.max_train=900",
    "partition=dirichlet",
    "partition.alpha=0.5",
    "party_a/model=mlp",
    "party_b/model=mlp",
    "party_a.samples.validation=0.2",
    "party_b.samples.validation=0.2",
    "exchange.num_queries=60",
    "exchange.every=2",
    "training.epochs=4",
]
RIDGE = ["joint_head=ridge", "joint_head.answers=40"]
PENALTY = 2.0 * 65


class Heard(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


@cache
def both() -> InProcess:
    return InProcess(configure(*SETTINGS, *RIDGE))


def found(sign: float = 1.0, alarm: AlarmName = "report", task: TaskName = "classification") -> Judged:
    """What party a makes of its knowledge of the head, or of one that says the opposite."""
    here = both()
    assert here.heads is not None
    held, features = here.learners[0].holding, here.heads.features
    own = own_head.own_statistics(features, "classification", held.train, 10)
    known = here.heads.knowledge[0]
    known = dataclasses.replace(known, weights_DC=sign * known.weights_DC)
    return judged(known, features, own, held, task=task, penalty=PENALTY, alarm=alarm)


def test_the_advantage_is_over_ridge_regression_on_own_rows() -> None:
    """scikit-learn's, and the deviations summed class by class in NumPy."""
    here = both()
    assert here.heads is not None
    held = here.learners[0].holding
    x = held.train.inputs.flatten(1).double().numpy()
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    fitted = Ridge(alpha=PENALTY, fit_intercept=False).fit(x, np.eye(10)[held.train.targets.numpy()] - 0.1)
    rows = here.heads.features.rows_of(held.validation).numpy()
    classes = held.validation.targets.numpy()
    gain, variance = 0.0, 0.0
    counted = [label for label in range(10) if (classes == label).sum() >= 5]
    assert len(counted) < 10
    both_said = rows @ both_weights(here), fitted.predict(rows)
    right = [np.array(counted)[np.asarray(said)[:, counted].argmax(1)] == classes for said in both_said]
    for label in counted:
        chosen = classes == label
        difference = right[0][chosen].astype(float) - right[1][chosen].astype(float)
        gain += difference.mean()
        variance += (difference != 0).sum() / chosen.sum() ** 2
    assert variance > 0
    assert here.heads.judged[0].advantage == pytest.approx(gain / variance**0.5)
    assert found().advantage == here.heads.judged[0].advantage


def both_weights(here: InProcess) -> np.ndarray:
    assert here.heads is not None
    return here.heads.knowledge[0].weights_DC.numpy()


def test_what_the_alarm_does() -> None:
    """A head that names what is least likely is far worse than the own one: reported or left out, as one says; where
    nothing is wrong, or nothing is tested, it teaches."""
    for mode in ("report", "quarantine"):
        fine, bad = found(alarm=mode), found(-1.0, alarm=mode)  # type: ignore[arg-type]
        assert fine.advantage is not None
        assert fine.advantage > ALARM
        assert len(fine.answers) > 0
        assert not fine.is_left_out
        assert bad.advantage is not None
        assert bad.advantage < ALARM
        assert bad.text is not None
        assert f"by {-bad.advantage:.1f} standard deviations worse than a head of own rows alone; it " in bad.text
        assert bad.text.endswith(f"(training.alarm={mode})")
        assert bad.is_left_out is (mode == "quarantine")
        assert (len(bad.answers) == 0) is bad.is_left_out
    off = found(-1.0, alarm="off")
    assert (off.advantage, off.text, off.is_left_out) == (None, None, False)


def test_what_cannot_be_compared_is_said() -> None:
    """Several labels and numbers have no test; nor has a party without a validation part. The head teaches."""
    for task in ("multilabel", "regression"):
        other = found(-1.0, alarm="quarantine", task=task)  # type: ignore[arg-type]
        assert (other.advantage, other.is_left_out) == (None, False)
        assert other.text == f"not compared with a head of own rows alone, for task={task} has no test of it"
    here = InProcess(
        configure(*SETTINGS, *RIDGE, "party_a.samples.validation=0", "training.trust=none", "training.keep=last")
    )
    assert here.heads is not None
    assert (
        here.heads.judged[0].text == "not compared with a head of own rows alone, for its validation part is too small"
    )
    assert len(here.heads.judged[0].answers) > 0


def test_a_run_without_the_head_that_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quarantine in a run whose heads say the opposite: both parties say so, tell no losses, and learn what they would
    without a joint head, number for number."""
    guessed = own_head.estimated_head
    monkeypatch.setattr(own_head, "estimated_head", lambda *args, **rest: -guessed(*args, **rest))
    here = InProcess(configure(*SETTINGS, *RIDGE, "training.alarm=quarantine"))
    plain = InProcess(configure(*SETTINGS, "training.alarm=quarantine"))
    alone = here.alone(0), here.alone(1)
    heard = Heard(), Heard()
    parties, others = here.mutual(alone, observers=heard), plain.mutual(alone)
    for name, notes, party, other in zip("ab", heard, parties, others, strict=True):
        assert [f"party {name}, joint head: by " in text for text in notes.texts] == [True]
        assert notes.texts[0].endswith("it does not teach (training.alarm=quarantine)")
        assert party.accuracy == other.accuracy
        for one, same in zip(party.network.parameters(), other.network.parameters(), strict=True):
            assert torch.equal(one, same)
