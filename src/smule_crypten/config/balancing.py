"""Whether a party learns as if all classes were equally frequent, where nobody said so."""

from __future__ import annotations

from smule_crypten.config.sections import PartitionConfig, TrainingConfig
from smule_crypten.metric_names import TaskName

_DIVIDES_CLASSES = ("dirichlet", "by_class")


def decided(training: TrainingConfig, task: TaskName, partition: PartitionConfig) -> TrainingConfig:
    """The same training with yes or no for a `balanced_softmax` that is null.

    Yes in a simulation that divides the classes unevenly: the test samples have all classes as often as before the
    split, and each party knows so. No beside another remedy for rare classes, and where training is private.
    """
    if training.balanced_softmax is not None:
        return training
    is_on = (
        task == "classification"
        and partition.name in _DIVIDES_CLASSES
        and training.class_weights == "none"
        and training.dp is None
    )
    return training.model_copy(update={"balanced_softmax": is_on})
