"""What a joint prediction of each task writes."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import torch

from smule_crypten.prediction.predict_files import WRITERS, arrays_of
from smule_crypten.tasks.classification import CLASSIFICATION
from smule_crypten.tasks.multilabel import MULTILABEL
from smule_crypten.tasks.regression import Regression
from smule_crypten.tasks.task import Task

OWN, PEER = torch.tensor([[2.0, -1.0], [0.5, 1.0]]), torch.tensor([[1.0, 3.0], [0.0, 0.0]])
ANSWERED = torch.tensor([True, False])
NONE = torch.empty(0, 2)
REGRESSION = Regression(mean=(100.0,), std=(10.0,))


def written(task: Task, targets: torch.Tensor) -> tuple[dict[str, np.ndarray], list[list[str]]]:
    """The arrays, and the lines of the table; without held-out samples both networks count the same."""
    arrays = arrays_of(task, OWN, PEER, ANSWERED, task.fit(NONE, NONE, targets))
    arrays["class_names"] = np.array(["cat", "dog"])
    return arrays, list(csv.reader(io.StringIO(WRITERS[".csv"](arrays).decode())))


def test_classes() -> None:
    """Names of classes, then the joint probability of each; what was not answered is the own answer alone."""
    arrays, lines = written(CLASSIFICATION, torch.empty(0, dtype=torch.int64))
    assert lines[0] == [
        "image", "predicted class", "class by own", "class by peer", "probability of cat", "probability of dog"
    ]  # fmt: skip
    assert lines[1][1:4] == ["cat", "cat", "dog"]
    joint = (OWN.softmax(1) + PEER.softmax(1)) / 2
    assert arrays["combined_probabilities"][0].tolist() == pytest.approx(joint[0].tolist())
    assert arrays["combined_probabilities"][1].tolist() == pytest.approx(OWN.softmax(1)[1].tolist())
    assert arrays["peer_class"].tolist() == [1, -1]


def test_labels() -> None:
    """The joint probability of each label, each by itself; in the arrays also what is decided, -1 without an answer."""
    arrays, lines = written(MULTILABEL, NONE)
    assert lines[0] == ["image", "probability of cat", "probability of dog"]
    joint = ((OWN.sigmoid() + PEER.sigmoid()) / 2)[0].tolist()
    assert [float(value) for value in lines[1][1:]] == pytest.approx(joint, rel=1e-4)
    assert arrays["own_labels"].tolist() == [[1, 0], [1, 1]]
    assert arrays["combined_labels"][0].tolist() == [int(value >= 0.5) for value in joint]
    assert arrays["peer_labels"].tolist() == [[1, 1], [-1, -1]]


def test_values() -> None:
    """In own units, together and by either network; nothing stands where there was no answer."""
    arrays, lines = written(REGRESSION, NONE)
    assert lines[0] == ["image", "cat", "dog", "cat by own", "dog by own", "cat by peer", "dog by peer"]
    assert [float(value) for value in lines[1][1:]] == pytest.approx([115, 110, 120, 90, 110, 130])
    assert lines[2][1:] == ["105", "110", "105", "110", "nan", "nan"]
    assert not any(name.endswith(("class", "labels")) for name in arrays)
