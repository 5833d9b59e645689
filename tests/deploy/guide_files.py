"""The files of docs/two-hosts.md, with keys beside them."""

from __future__ import annotations

import re
from pathlib import Path

from smule_crypten.transport.credentials import create_identity

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "two-hosts.md").read_text(encoding="utf-8")


def write_guide_files(folder: Path) -> None:
    """Each under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for text in re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE):
        (folder / text.partition("\n")[0].removeprefix("# ")).write_text(text)
    for name in ("hospital-a", "hospital-b", "dealer"):
        create_identity(name, folder)
