"""The JSON file of a benchmark: its figures, and where and how they were measured."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

from smule_crypten.files import write_atomic
from smule_crypten.party.environment import describe_hardware, describe_versions


def write_figures(path: Path, benchmark: str, threads: int, figures: dict[str, Any], device: str = "cpu") -> None:
    summary = {
        "benchmark": benchmark,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", *sys.argv],
        "versions": describe_versions(),
        "hardware": describe_hardware(device),
        "threads": threads,
        **figures,
    }
    write_atomic(path, lambda file: file.write(json.dumps(summary, indent=2).encode()))
