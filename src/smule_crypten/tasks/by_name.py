"""The one table of tasks by name."""

from __future__ import annotations

from smule_crypten.config.run import PartyConfig
from smule_crypten.metric_names import TaskName
from smule_crypten.tasks.classification import Classification
from smule_crypten.tasks.multilabel import MultiLabel
from smule_crypten.tasks.regression import Regression
from smule_crypten.tasks.task import Task


def task_of(
    name: TaskName,
    metric: str | None = None,
    target_mean: tuple[float, ...] = (0.0,),
    target_std: tuple[float, ...] = (1.0,),
) -> Task:
    """The task, with the metric that decides what is kept, and the constants of regression targets."""
    match name:
        case "classification":
            return Classification(metric=metric)
        case "multilabel":
            return MultiLabel(metric=metric)
        case "regression":
            return Regression(metric=metric, mean=target_mean, std=target_std)


def as_task(task: Task | TaskName) -> Task:
    """A task by its name has its own metric, and targets that are as they are."""
    return task_of(task) if isinstance(task, str) else task


def party_task(config: PartyConfig) -> Task:
    """What a party's configuration says."""
    return task_of(config.task, config.metric, config.data.target_mean, config.data.target_std)
