"""Sets that scikit-learn brings along, and what of them a task accepts."""

from __future__ import annotations

import pytest
import torch
from sklearn import datasets

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.samples import DataBundle
from smule_crypten.data.targets import is_known
from smule_crypten.errors import DataError
from smule_crypten.launch.library import configure
from smule_crypten.metric_names import TaskName

TASKS: dict[str, TaskName] = {
    "digits": "classification",
    "breast_cancer": "classification",
    "digits_pairs": "multilabel",
    "diabetes": "regression",
}


def loaded(name: str) -> DataBundle:
    return load_data(DataConfig(name=name), TASKS[name])


def test_pairs_of_digits_have_the_labels_of_both() -> None:
    """Each half is one of scikit-learn's images, used once, and the labels are the classes of both halves."""
    bundle, digits = loaded("digits_pairs"), datasets.load_digits()
    class_of = {tuple(image.reshape(-1) / 16): label for image, label in zip(*_raw(digits), strict=True)}
    halves = []
    for part in (bundle.train, bundle.test):
        for image, labels_C in zip(part.inputs[:, 0], part.targets, strict=True):
            both = [tuple(half.reshape(-1).tolist()) for half in (image[:, :8], image[:, 8:])]
            halves += both
            assert {class_of[half] for half in both} == set(labels_C.nonzero().flatten().tolist())
    assert len(set(halves)) == len(halves)
    assert torch.cat([bundle.train.sample_ids, bundle.test.sample_ids]).equal(torch.arange(len(halves) // 2))
    assert bundle.class_names[3] == "contains 3"


def _raw(digits: object) -> tuple[object, object]:
    return digits.images, digits.target.tolist()  # type: ignore[attr-defined]


def test_rows_of_patients() -> None:
    """Both sets of vectors hold scikit-learn's rows in their own units; class 1 of tumours is malignant."""
    cancer, found = loaded("breast_cancer"), datasets.load_breast_cancer()
    ids = cancer.test.sample_ids
    assert torch.equal(cancer.test.inputs, torch.from_numpy(found.data).float()[ids])
    assert [cancer.class_names[label] for label in cancer.test.targets] == found.target_names[
        found.target[ids]
    ].tolist()
    diabetes, study = loaded("diabetes"), datasets.load_diabetes(scaled=False)
    assert torch.equal(diabetes.train.targets[:, 0], torch.from_numpy(study.target).float()[diabetes.train.sample_ids])
    assert diabetes.input_shape == (10,)


@pytest.mark.parametrize("name", ["digits_pairs", "breast_cancer", "diabetes"])
def test_constants_of_the_files_fit_the_data(name: str) -> None:
    """With those of conf/ each feature has mean 0 and deviation 1, and so have regression targets."""
    config = configure(f"data={name}", "partition=iid", f"task={TASKS[name]}").data
    bundle = loaded(name)
    whole = bundle.train.with_others(bundle.test)
    inputs_NX = whole.normalized(config.mean, config.std).inputs
    values = inputs_NX if len(config.mean) > 1 else inputs_NX.flatten()
    assert values.mean(0).abs().max() < 0.02
    assert (values.std(0) - 1).abs().max() < 0.03
    if TASKS[name] == "regression":
        targets = (whole.targets - torch.tensor(config.target_mean)) / torch.tensor(config.target_std)
        assert abs(float(targets.mean())) < 0.01
        assert abs(float(targets.std()) - 1) < 0.01


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("digits_pairs", "classification", "targets are torch.float32 .*for several labels set task=multilabel"),
        ("digits", "multilabel", "task=multilabel needs float32 of shape"),
        ("digits", "regression", "task=regression needs float32 of shape"),
        ("diabetes", "multilabel", "task=multilabel takes 0 and 1 alone"),
    ],
)
def test_targets_of_another_task_are_refused(name: str, task: TaskName, message: str) -> None:
    """In one line, before anything is learned."""
    with pytest.raises(DataError, match=message):
        load_data(DataConfig(name=name), task)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_targets_that_nobody_may_look_at(name: str) -> None:
    """A pool keeps shape and type of its targets, and none of them is known."""
    part = loaded(name).test
    hidden = part.without_labels()
    assert (hidden.targets.shape, hidden.targets.dtype) == (part.targets.shape, part.targets.dtype)
    assert not is_known(hidden.targets).any()
    assert is_known(part.with_others(hidden).targets).tolist() == [True] * len(part) + [False] * len(part)
