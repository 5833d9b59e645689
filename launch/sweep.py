"""What happens after the last job of a Hydra sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from smule_crypten.report.sweep import collect_sweep, write_sweep_summary


class SweepSummary(Callback):
    """Writes sweep_summary.csv and its plot, prints the table, and remembers how many jobs failed."""

    failed_jobs = 0

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        console = Console()
        console.print(write_sweep_summary(folder))
        console.print(f"Sweep folder: {folder}", soft_wrap=True)
        SweepSummary.failed_jobs = sum(row["status"] != "completed" for row in collect_sweep(folder))
