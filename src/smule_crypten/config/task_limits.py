"""What a task cannot do, refused with one line each before anything is loaded."""

from __future__ import annotations

from smule_crypten.config.config_reading import suggest
from smule_crypten.config.sections import AttackConfig, DataConfig, PartitionConfig, TrainingConfig
from smule_crypten.metric_names import TaskName, metrics_of

_OF_CLASSES = ("dirichlet", "by_class")


def refuse_impossible(task: TaskName, metric: str | None, training: TrainingConfig, data: DataConfig) -> None:
    """Settings of learning that mean nothing in this task, or contradict each other.

    Raises:
        ValueError: in words for the user.
    """
    if metric is not None and metric not in metrics_of(task):
        raise ValueError(f"metric={metric}: no metric of task={task} {suggest(metric, metrics_of(task))}")
    if training.balanced_softmax and training.class_weights == "balanced":
        raise ValueError(
            "training.class_weights=balanced and training.balanced_softmax both make up for rare classes; choose one"
        )
    if task != "classification" and training.balanced_softmax:
        raise ValueError(
            f"training.balanced_softmax needs one class per sample, which task={task} has not; set it to false"
            + (" and training.class_weights=balanced" if task == "multilabel" else "")
        )
    if task == "regression":
        _refuse_labels(training)
    elif scales_targets(data):
        raise ValueError(f"data.target_mean and data.target_std scale targets of regression; task={task} has none")


def scales_targets(data: DataConfig) -> bool:
    """Whether the configuration says by which constants; a data set may know them."""
    return (data.target_mean, data.target_std) != ((0.0,), (1.0,))


def _refuse_labels(training: TrainingConfig) -> None:
    refused = {
        "training.label_smoothing": training.label_smoothing > 0,
        "training.class_weights": training.class_weights != "none",
    }
    for key, is_set in refused.items():
        if is_set:
            raise ValueError(f"{key} is about labels, and task=regression has none; leave it out")
    if training.alarm == "quarantine":
        raise ValueError(
            "training.alarm=quarantine: answers of task=regression cannot be tested for what no honest network says; "
            "set training.alarm=off"
        )


def refuse_classes_only(task: TaskName, partition: PartitionConfig | None, attack: AttackConfig) -> None:
    """What divides samples by their class, and what attacks a class.

    Raises:
        ValueError: in words for the user.
    """
    if task == "classification":
        return
    if partition is not None and partition.name in _OF_CLASSES:
        raise ValueError(
            f"partition={partition.name} divides samples by their class, and task={task} has none; "
            "choose partition=iid or partition=unequal"
        )
    if attack.name != "none":
        raise ValueError(f"attack={attack.name} is about classes, and task={task} has none; choose attack=none")
