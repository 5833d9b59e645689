"""Processes that process 0 starts on its own machine, and what becomes of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from smule_crypten.config.compute import ComputeConfig
from smule_crypten.config.sections import LaunchConfig

_GRACE_SECONDS = 5.0


class Workers:
    """New interpreters that run worker.py. Each ends when this process does, whose end closes its standard input."""

    def __init__(self, folder: Path, compute: ComputeConfig, launch: LaunchConfig, device: str, name: str) -> None:
        command = [sys.executable, "-m", "smule_crypten.compute.worker"]
        common: dict[str, Any] = {
            "folder": str(folder),
            "compute": compute.model_dump(),
            "launch": launch.model_dump(),
            "device": device,
            "name": name,
            "path": sys.path,
        }
        self._processes: list[subprocess.Popen[str]] = []
        for rank in range(1, compute.processes):
            # A session of its own: Ctrl-C reaches process 0, which ends them.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
            self._processes.append(process)
            assert process.stdin is not None
            process.stdin.write(json.dumps({**common, "rank": rank}) + "\n")
            process.stdin.flush()

    def ended(self) -> str | None:
        """Which one has ended, and how."""
        for rank, process in enumerate(self._processes, start=1):
            if (code := process.poll()) is not None:
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                return f"process {rank} {how}"
        return None

    def end(self, *, in_order: bool) -> None:
        """in_order: they know that nothing is left to do, and have some time to end by themselves."""
        for process in self._processes:
            if not in_order:
                process.kill()
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
