"""Numbers as people read them. None, which stands for "not measured", becomes a dash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MISSING = "–"

CONTROL_TITLES = {
    "label_smoothing": "label smoothing",
    "self_mutual": "self mutual",
    "self_distillation": "self distillation",
}
PHASE_TITLES = {"standalone": "alone", "smule": "SMuLe", **CONTROL_TITLES, "pooled": "pooled data"}


def percent(fraction: float | None, digits: int = 1) -> str:
    return MISSING if fraction is None else f"{100 * fraction:.{digits}f} %"


def count(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def byte_unit(largest: float) -> tuple[float, str]:
    """The decimal unit in which `largest` bytes read best: its size in bytes and its name."""
    for size, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if largest >= size:
            return size, name
    return 1.0, "B"


def human_bytes(num_bytes: float | None) -> str:
    if num_bytes is None:
        return MISSING
    size, name = byte_unit(num_bytes)
    return f"{num_bytes:.0f} B" if name == "B" else f"{num_bytes / size:.2f} {name}"


def human_seconds(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    if seconds < 59.95:  # below, one digit never rounds up to 60.0
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def task_title(party: str, phase: str) -> str:
    """The name of one training: 'a alone', 'b SMuLe' or 'pooled data'."""
    title = PHASE_TITLES[phase]
    return title if party == "pooled" else f"{party} {title}"


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting under its key in dotted form; an empty section stays one."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
