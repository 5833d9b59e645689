"""Live progress of all trainings of a run: bars on a terminal, one plain line per epoch elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from smule_crypten.report.formatting import MISSING, count, human_bytes, human_seconds, task_title
from smule_crypten.report.metric_text import metric_title, metric_value
from smule_crypten.report.records import EpochRecord


class LiveProgress:
    """Shows epochs as they come.

    Args:
        console: where to show them; without a terminal, plain lines are printed.
        epochs_by_task: number of epochs of each training, keyed by (party, phase), in the order of display.
        metric: what is shown of each epoch.
    """

    def __init__(
        self, console: Console, epochs_by_task: Mapping[tuple[str, str], int], metric: str = "accuracy"
    ) -> None:
        self._console = console
        self._metric = metric
        self._epochs_by_task = dict(epochs_by_task)
        self._bars: Progress | None = None
        self._task_ids: dict[tuple[str, str], TaskID] = {}
        if console.is_terminal:
            self._bars = _bars(console)
            for (party, phase), total in self._epochs_by_task.items():
                title = task_title(party, phase)
                self._task_ids[party, phase] = self._bars.add_task(title, total=total, figure="")

    def update(self, epoch: EpochRecord, *, is_new: bool = True) -> None:
        """Show one epoch of a training that was announced in epochs_by_task.

        Args:
            is_new: not an epoch of an earlier attempt, which moves a bar, but is not printed again.
        """
        task = (epoch.party, epoch.phase)
        total = self._epochs_by_task[task]
        if self._bars is None:
            if is_new:
                self._print(_line(epoch, total, self._metric))
        else:
            figure = f"test {metric_value(self._metric, epoch.test_figure)}"
            self._bars.update(self._task_ids[task], completed=epoch.epoch, figure=figure)

    def message(self, text: str) -> None:
        """Show a line of text; on a terminal it stays above the bars."""
        self._print(text)

    def __enter__(self) -> LiveProgress:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *ended: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figure]}", justify="right"),
        TimeElapsedColumn(),
        console=console,
        redirect_stderr=sys.stderr.isatty(),  # the log, which must not tear the bars; a file gets it as it is
    )


def _line(epoch: EpochRecord, total: int, metric: str) -> str:
    parts = [
        f"test {metric_title(metric)} {metric_value(metric, epoch.test_figure)}",
        f"loss {MISSING if epoch.loss is None else format(epoch.loss, '.3f')}",
        human_seconds(epoch.training_seconds + epoch.exchange_seconds),
    ]
    if epoch.public_made:
        parts.append(f"{count(epoch.public_made)} public queries")
    if epoch.queries_made:
        num_bytes = epoch.bytes_sent + epoch.bytes_received
        parts.append(f"{count(epoch.queries_made)} queries, {human_bytes(num_bytes)}")
    return f"{task_title(epoch.party, epoch.phase)}, epoch {epoch.epoch}/{total}: {', '.join(parts)}"
