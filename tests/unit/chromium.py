"""A page as headless Chromium shows it. Tests that need it are skipped where there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

PROGRAM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
needs_chromium = pytest.mark.skipif(not PROGRAM, reason="no chromium on this machine: apt-get install chromium")


def run(folder: Path, address: str, *options: str, dark: bool = False) -> str:
    """What it prints. folder: for its profile."""
    command = [
        PROGRAM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        *options,
        address,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def measured(folder: Path, html: str, script: str, *, width: int, dark: bool = False) -> Any:
    """What the script, an expression, comes to on the page, shown so wide. The page forbids scripts: not here.

    It stands in a frame, since no window is so narrow as a phone.
    """
    policy_begins = html.index('<meta http-equiv="Content-Security-Policy"')
    policy_ends = html.index(">", policy_begins) + 1
    probe = f"<script>parent.document.title = JSON.stringify({script});</script></body>"
    inner = escape(html[:policy_begins] + html[policy_ends:].replace("</body>", probe))
    page = folder / "page.html"
    frame = f'<iframe width="{width}" height="900" style="border: 0" srcdoc="{inner}"></iframe>'
    page.write_text(f'<!DOCTYPE html><meta charset="utf-8"><title>none</title>{frame}', encoding="utf-8")
    shown = run(folder, page.as_uri(), "--dump-dom", dark=dark)
    return json.loads(unescape(shown.partition("<title>")[2].partition("</title>")[0]))
