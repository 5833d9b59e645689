"""Cases of a suite on disk: each is computed once, and kept for the next call."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from rich.console import Console
from rich.text import Text

from smule_crypten._version import __version__
from smule_crypten.errors import OutputError
from smule_crypten.files import write_text


class CaseStore:
    """Finished cases of a folder, known by all settings that decide their result.

    Args:
        folder: of the suite; kept as an attribute.
        console: shows a line before and after each case; kept as an attribute, for a case's own progress.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder = folder
        self.console = console
        self.kept = 0
        self.computed = 0

    def say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def result(self, title: str, settings: dict[str, Any], compute: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        """What an earlier call found for these settings, or compute(a folder of the case's own).

        The folder is the same in every attempt at a case, so that a run in it can go on.

        Raises:
            OutputError: a kept case is damaged, or the folder cannot be written.
        """
        settings = {"title": title, "version": __version__, **settings}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        name = f"{re.sub(r'[^a-z0-9]+', '_', title.lower()).strip('_')}-{digest}"
        path = self.folder / "cases" / f"{name}.json"
        if path.exists():
            self.kept += 1
            self.say(f"{title}: kept from an earlier call")
            return _read(path)
        self.say(f"{title} ...")
        started = time.perf_counter()
        # JSON has no NaN and no infinity, so these become null.
        result = json.loads(to_json(compute(self.folder / "runs" / name), inf_nan_mode="null"))
        seconds = time.perf_counter() - started
        write_text(
            path, json.dumps({"settings": settings, "seconds": seconds, "result": result}, indent=2), public=True
        )
        self.computed += 1
        self.say(f"{title}: {seconds:.1f} s")
        return dict(result)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["result"])
    except (OSError, ValueError, LookupError, TypeError):
        raise OutputError(f"{path} is damaged; remove it to compute this case again") from None
