"""The metrics by name: for which tasks they are, and how a figure of theirs is read.

How they are computed is in tasks/metrics.py, which has a row for each name here. The configuration and the report
need the names only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TaskName = Literal["classification", "multilabel", "regression"]


@dataclass(frozen=True, kw_only=True)
class MetricFacts:
    """title: as people read it. tasks: for which it is defined. is_share: 0 to 1, and shown in percent."""

    title: str
    tasks: tuple[TaskName, ...]
    higher_is_better: bool = True
    is_share: bool = False


_CLASSES: tuple[TaskName, ...] = ("classification",)
_LABELS: tuple[TaskName, ...] = ("multilabel",)
_BOTH: tuple[TaskName, ...] = ("classification", "multilabel")
_VALUES: tuple[TaskName, ...] = ("regression",)

METRIC_FACTS: dict[str, MetricFacts] = {
    "accuracy": MetricFacts(title="accuracy", tasks=_CLASSES, is_share=True),
    "balanced_accuracy": MetricFacts(title="balanced accuracy", tasks=_CLASSES, is_share=True),
    "macro_f1": MetricFacts(title="macro F1", tasks=_BOTH),
    "auroc": MetricFacts(title="AUROC", tasks=_BOTH),
    "auprc": MetricFacts(title="AUPRC", tasks=_BOTH),
    "sensitivity": MetricFacts(title="sensitivity", tasks=_CLASSES, is_share=True),
    "specificity": MetricFacts(title="specificity", tasks=_CLASSES, is_share=True),
    "subset_accuracy": MetricFacts(title="subset accuracy", tasks=_LABELS, is_share=True),
    "hamming_loss": MetricFacts(title="Hamming loss", tasks=_LABELS, is_share=True, higher_is_better=False),
    "log_loss": MetricFacts(title="log loss", tasks=_BOTH, higher_is_better=False),
    "calibration_error": MetricFacts(title="calibration error", tasks=_BOTH, higher_is_better=False),
    "rmse": MetricFacts(title="RMSE", tasks=_VALUES, higher_is_better=False),
    "mae": MetricFacts(title="MAE", tasks=_VALUES, higher_is_better=False),
    "r2": MetricFacts(title="R2", tasks=_VALUES),
}

PRIMARY: dict[TaskName, str] = {"classification": "accuracy", "multilabel": "auroc", "regression": "rmse"}
"""Task -> the metric that tables and curves show, unless `metric` names another one."""


def metrics_of(task: TaskName) -> list[str]:
    """The names of all metrics of a task, in the order in which they are shown."""
    return [name for name, facts in METRIC_FACTS.items() if task in facts.tasks]
