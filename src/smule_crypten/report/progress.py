"""Live progress of all trainings of a run: bars on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from smule_crypten.report.formatting import count, human_bytes, human_seconds, percent, task_title


class LiveProgress:
    """Shows epoch events (docs/results.md, record.jsonl) as they come.

    Args:
        console: where to show them; without a terminal, plain lines are printed.
        epochs_by_task: number of epochs of each training, keyed by (party, phase), in the order of display.
    """

    def __init__(self, console: Console, epochs_by_task: Mapping[tuple[str, str], int]) -> None:
        self._console = console
        self._epochs_by_task = dict(epochs_by_task)
        self._bars: Progress | None = None
        self._task_ids: dict[tuple[str, str], TaskID] = {}
        if console.is_terminal:
            self._bars = _bars(console)
            for (party, phase), total in self._epochs_by_task.items():
                title = task_title(party, phase)
                self._task_ids[party, phase] = self._bars.add_task(title, total=total, accuracy="")

    def update(self, event: Mapping[str, Any], *, is_new: bool = True) -> None:
        """Show one epoch event of a training that was announced in epochs_by_task.

        Args:
            is_new: not an epoch of an earlier attempt, which moves a bar, but is not printed again.
        """
        task = (event["party"], event["phase"])
        total = self._epochs_by_task[task]
        if self._bars is None:
            if is_new:
                self._print(_line(event, total))
        else:
            accuracy = f"test {percent(event['test_accuracy'])}"
            self._bars.update(self._task_ids[task], completed=event["epoch"], accuracy=accuracy)

    def message(self, text: str) -> None:
        """Show a line of text; on a terminal it stays above the bars."""
        self._print(text)

    def __enter__(self) -> LiveProgress:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[accuracy]}", justify="right"),
        TimeElapsedColumn(),
        console=console,
        redirect_stderr=sys.stderr.isatty(),  # the log, which must not tear the bars; a file gets it as it is
    )


def _line(event: Mapping[str, Any], total: int) -> str:
    parts = [
        f"test accuracy {percent(event['test_accuracy'])}",
        f"loss {event['loss']:.3f}",
        human_seconds(event["training_seconds"] + event["exchange_seconds"]),
    ]
    if event["queries_made"]:
        num_bytes = event["bytes_sent"] + event["bytes_received"]
        parts.append(f"{count(event['queries_made'])} queries, {human_bytes(num_bytes)}")
    return f"{task_title(event['party'], event['phase'])}, epoch {event['epoch']}/{total}: {', '.join(parts)}"
