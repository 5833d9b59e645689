"""What a task cannot do is refused with one line before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest
from party_configs import party
from pydantic import ValidationError

from smule_crypten.config.protocol import ProtocolConfig
from smule_crypten.config.sections import AttackConfig, DataConfig, PartitionConfig, TrainingConfig
from smule_crypten.errors import ConfigError
from smule_crypten.launch.library import configure


def training(**settings: Any) -> dict[str, Any]:
    return {"training": TrainingConfig(**settings)}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "metric of another task": ({"metric": "rmse"}, r"metric=rmse: no metric of task=classification \(.*accuracy"),
    "unknown metric": ({"metric": "acuracy"}, r"did you mean accuracy\?"),
    "both rebalance": (training(balanced_softmax=True, class_weights="balanced"), "choose one"),
    "softmax of labels": (
        {"task": "multilabel", **training(balanced_softmax=True)},
        r"task=multilabel has not; set it to false and training\.class_weights=balanced",
    ),
    "softmax of values": ({"task": "regression", **training(balanced_softmax=True)}, "task=regression has not"),
    "smoothed values": ({"task": "regression", **training(label_smoothing=0.1)}, r"training\.label_smoothing is about"),
    "weighted values": (
        {"task": "regression", **training(class_weights="balanced")},
        r"training\.class_weights is about labels, and task=regression has none",
    ),
    "quarantine of values": (
        {"task": "regression", **training(alarm="quarantine")},
        r"training\.alarm=quarantine: answers of task=regression cannot be tested .*training\.alarm=off",
    ),
    "constants without values": (
        {"data": DataConfig(name="digits", target_std=(2.0,))},
        r"data\.target_mean and data\.target_std scale targets of regression",
    ),
    "classes divided": (
        {"task": "multilabel", "partition": PartitionConfig(name="dirichlet")},
        "partition=dirichlet divides samples by their class.*choose partition=iid or partition=unequal",
    ),
    "classes attacked": (
        {"task": "regression", "attack": AttackConfig(name="label_flip")},
        "attack=label_flip is about classes, and task=regression has none",
    ),
}


@pytest.mark.parametrize(("settings", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    """Each in one line that says what to choose instead."""
    with pytest.raises(ValidationError, match=message):
        party(**settings)


def test_a_run_is_refused_alike() -> None:
    """The default partition is one of classes."""
    with pytest.raises(ConfigError, match="partition=dirichlet divides"):
        configure("data=digits_pairs", "task=multilabel")
    assert configure("data=digits_pairs", "task=multilabel", "partition=iid").opening == "values"
    assert configure("data=diabetes", "task=regression", "partition=unequal").opening == "values"
    assert configure("data=breast_cancer").opening == "differences"


def test_class_weights_tell_of_private_samples() -> None:
    """They follow from the labels of all samples, without noise."""
    with pytest.raises(ConfigError, match=r"set training\.class_weights=none"):
        configure(
            "training=private", "training.class_weights=balanced", "simulation.controls=[]", "simulation.pooled=false"
        )


def test_constants_of_targets_are_public_in_regression_alone() -> None:
    """One for all targets is one each; in other tasks there is nothing that could differ."""
    data = DataConfig(name="diabetes", target_mean=(152.0,), target_std=(77.0,))
    public = ProtocolConfig.from_party(party(task="regression", data=data), (10,), 2, None, {})
    assert (public.task, public.opening) == ("regression", "values")
    assert (public.data.target_mean, public.data.target_std) == ((152.0, 152.0), (77.0, 77.0))
    public = ProtocolConfig.from_party(party(), (10,), 2, None, {})
    assert (public.task, public.opening, public.data.target_mean) == ("classification", "differences", ())
